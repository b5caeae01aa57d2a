package sallyport

import "time"

// LogFile is a file with a part of an appliance's log.
type LogFile struct {
	Name string
	// Size is that of the file as it lies there, in octets.
	Size int64
	// Modified is when the last line was written, as far as the file system knows.
	Modified time.Time
	// Live is the one that is written to.
	Live bool
}

// LogEntry is one line of an appliance's log.
type LogEntry struct {
	Time    time.Time
	Level   string // "DEBUG", "INFO", "WARN", "ERROR"; empty for a line that is none of the appliance's
	Message string
	// Fields are what else it says, in its order.
	Fields []LogField
}

// LogField is a name and what an entry says of it.
type LogField struct{ Name, Value string }

// LogQuery says which lines of a log are asked for; zero fields ask for all.
type LogQuery struct {
	// File is a LogFile's name; empty: all files.
	File string
	// Level is the least one.
	Level string
	// Text is looked for anywhere in the line, without case.
	Text string
	// SupportCode, in any spelling, finds the lines of one login or one error page.
	SupportCode string
	After       string // Next of the page before; empty begins at the end of the log
	Most        int    // 1 to 1000; 0 means 200
}

// LogPage is a part of a log, the newest line first.
type LogPage struct {
	Entries []LogEntry
	// Next asks for older lines; empty at the beginning of the log. A page may have a next one and no entries:
	// as much as one call reads was read by then.
	Next string
}
