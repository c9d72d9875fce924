package modemtest

import (
	"math/rand/v2"
	"strings"
	"time"
)

// oneIn is how many command lines there are for each that meets a fault of [RandomFaults].
const oneIn = 4

// RandomFaults returns a script of faults for the first lines command lines: each line meets one, or in most cases none.
// The same seed gives the same script. What the modem tells about itself stays true: other identities come as noise and
// late answers, but no answer lies.
func RandomFaults(seed uint64, lines int) []Fault {
	random := rand.New(rand.NewPCG(seed, 0))
	var script []Fault
	for line := range lines {
		if random.IntN(oneIn) > 0 {
			continue
		}
		f := anyFault(random)
		// A line that met an earlier fault was not counted by this one.
		f.Command, f.Skip, f.Times = "*", line-len(script), 1
		script = append(script, f)
	}
	return script
}

// anyFault draws the kind, and then what it does.
func anyFault(random *rand.Rand) Fault {
	late := time.Duration(random.IntN(5000)) * time.Millisecond // around the reader's time-out
	all := []Fault{
		{Kind: FaultDrip, Delay: time.Duration(1+random.IntN(20)) * time.Millisecond},
		{Kind: FaultDelay, Delay: late},
		{Kind: FaultDropOK},
		{Kind: FaultStale, Delay: late},
		{Kind: FaultStale, Delay: late, Text: anyNoise(random)},
		{Kind: FaultGarbage, Text: anyNoise(random)},
		{Kind: FaultGarbage, Text: strings.Repeat(anyNoise(random), 1+random.IntN(20))},
		{Kind: FaultInstead, Text: anyNoise(random)},
		{Kind: FaultVerbatim, Text: anyNoise(random)},
		{Kind: FaultSilent},
		{Kind: FaultNoDrain, Delay: late + time.Millisecond},
		{Kind: FaultEndless, Text: anyNoise(random)},
		{Kind: FaultHangUp, Text: anyNoise(random)},
	}
	return all[random.IntN(len(all))]
}

// noises are what else comes over a serial line: reports, banners, results of nothing, and bytes.
var noises = []string{
	"\r\n+CREG: 1,\"00A1\"\r\n", "\r\nRING\r\n", "\r\n+CLIP: \"" + otherIMEI + "\",145\r\n", "\r\nRDY\r\n", "\r\nNO CARRIER\r\n",
	"\r\nOK\r\n", "\r\nERROR\r\n", "\r\n+CME ERROR: memory failure\r\n", "\r\n" + otherIMEI + "\r\n", otherIMEI,
	"\x00\x00", "\a~?x\x7f\r\n", "\xff\xfe", "\r\n> ", "\r\n" + strings.Repeat("9", 3000), "4901",
}

func anyNoise(random *rand.Rand) string { return noises[random.IntN(len(noises))] }
