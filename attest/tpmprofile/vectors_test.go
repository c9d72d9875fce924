package tpmprofile_test

// Golden values in hex for the keys "oem nv", "oem boot", "oem boot standby" and "device" of attesttest.
const (
	goldenNVKey            = "000becb9f6b05bd444d9cb7df05845f8dfc8b21dc6b1247690ccdb1385534d144812"
	goldenDefined          = "000bc97458e84b5052ec523e1185f9db0f23c9a0d563162e5bc3db65db317c2a099e"
	goldenWritten          = "000b71e2b329cb56804ba11373f18d7d2ffe36daf7046433301b30371c67018aa947"
	goldenLocked           = "000b0b4aaab06e0b9b91a4c3fd7b2067880b7d52009d6fe4082405d8147533a5a8aa"
	goldenOwnerLocked      = "000b7b67c637043a5a61a1fd8c9752ce87d2933d37774ec409bd0dd07cefa9f43567"
	goldenPolicy           = "33e21ccb1dc5a105560ab4e925f76124ba208c38906c9634a6e0f8e80d2d0b20"
	goldenPolicyOwner      = "69d9bcd2b2b101e3690950d2951be94bdec1a05ee35cfb5ef8c306f909d76d42"
	goldenPolicyUnmeasured = "f6bf1ddf632503d7b8f1e5693c67445eb5c54d6d665d0be7168ff7868cb05680"
	goldenKey              = "000be83cd7c1a2b6bebb4479d571199334e3244b847dee31fd65639823d216cd3d74"
	goldenWriteHash        = "4d061344467fd53d83edcd3e9f0e8818a2a9c11db5bf4e9e08dbec8c1aa704ea"
	goldenLockHash         = "4ecfa1767aac6a92c9cd211c733da484c24ff17eb0f82270baf4f97cbc8d1bea"
)
