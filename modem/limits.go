package modem

import "time"

// Hard limits: what a modem can make us keep or wait for. They hold for every modem, so they are no settings.
const (
	// MaxLine is the longest line in bytes (TS 27.007 clause 5.4: the text has at most 2048 characters).
	MaxLine = 2048
	// MaxLines is the most lines one command may be answered with, unsolicited ones included; the longest
	// real answer known (ATI of a Sierra C885) has 9.
	MaxLines = 64
	// MaxAnswer is the most bytes one command may be answered with: four of the longest lines.
	MaxAnswer = 8 << 10
	// MaxSession is the most bytes one Read may take from the modem. A full plan on the wordiest profile takes 3 KiB.
	MaxSession = 256 << 10
)

// Times. Only the first two can be set, see [Config].
const (
	// DefaultCommandTimeout is for one command; ModemManager waits as long for +CGSN.
	DefaultCommandTimeout = 3 * time.Second
	// DefaultTotalTimeout is for a whole Read: six commands that time out, or a full plan at 9600 baud.
	DefaultTotalTimeout = 20 * time.Second

	wakeTimeout  = time.Second            // for the bare AT, which needs no work in the modem
	quietTime    = 20 * time.Millisecond  // without a byte the line counts as quiet: 24 characters at 9600 baud
	drainTime    = 200 * time.Millisecond // at most spent waiting for a quiet line
	lingerTime   = 100 * time.Millisecond // how long a bare OK may be the late second OK of the command before
	wakeRounds   = 3                      // sleeping and autobauding modems lose the first AT or two
	resyncRounds = 3                      // one for the late answer, one for the OK behind it, one to see silence
	maxKeptText  = 32                     // bytes of an answer that is no IMEI: the longest serial number seen is 36, a UUID
	maxKeptLabel = 64                     // characters of manufacturer, model, revision and of a CME text
)

// Config sets what differs between installations. The zero value is right for a modem on a local port.
type Config struct {
	// CommandTimeout for one command; 0 means [DefaultCommandTimeout].
	CommandTimeout time.Duration
	// TotalTimeout for one [Reader.Read]; 0 means [DefaultTotalTimeout].
	TotalTimeout time.Duration
	// Profiles of modems that this package does not know, or knows wrongly; see [ParseProfiles].
	Profiles []Profile
}

func (c Config) withDefaults() Config {
	if c.CommandTimeout <= 0 {
		c.CommandTimeout = DefaultCommandTimeout
	}
	if c.TotalTimeout <= 0 {
		c.TotalTimeout = DefaultTotalTimeout
	}
	return c
}
