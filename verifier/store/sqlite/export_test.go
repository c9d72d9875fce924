package sqlite

var Split = split
