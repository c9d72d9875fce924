package policy

// Answer is what Explain tells of the fronts.
var Answer = answer
