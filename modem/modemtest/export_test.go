package modemtest

// ReadCorpus is Load without the file.
var ReadCorpus = readCorpus
