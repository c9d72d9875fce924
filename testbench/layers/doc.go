// Package layers is the import law of this module, as a test: which package may import which, which third-party
// modules stand where, and who may touch a clock, a file, a socket, the environment or another program.
//
// Start with law_test.go: the tables are the law, and every line of them carries its reason. A folder that has no line
// fails; so does an import that no line allows. The test promises to read the files themselves, those under build
// tags too, and never to ask `go list`: the answer of a child process is not among the inputs by which the go command
// decides that a cached test result still holds, so a new violation would go unseen.
//
// The rule is looser for tests: a _test.go file may import all of its own role, the ground below it, the *test packages and
// any module that the law knows, because it ships nothing.
package layers
