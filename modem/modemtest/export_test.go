package modemtest

// ReadCorpus is Load without the file.
var ReadCorpus = readCorpus

// About says what a profile answers as.
func About(name string) string { return profiles()[name].About }
