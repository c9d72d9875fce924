package testbench

// Obeys is [home.obeys] of a front that gates, or does not.
func Obeys(gates bool, o *Outcome) error { return (&home{gates: gates}).obeys(o) }
