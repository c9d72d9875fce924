package provision

// JournalFile is where a journal's lines go.
type JournalFile = journalFile

// Wrap has tests see what is written, and when it is on the disk.
func (j *Journal) Wrap(wrap func(JournalFile) JournalFile) { j.file = wrap(j.file) }
