package softvault_test

import (
	"context"
	"fmt"

	"imei-attest/agent/softvault"
)

// A device without secure storage keeps key and Credential in a folder of its agent's user.
func ExampleOpen() {
	vault, err := softvault.Open("/var/lib/imei-agent/vault")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer vault.Close()
	signature, err := vault.Signer(context.Background()).Sign(nil, []byte("a Sig_structure"))
	fmt.Println(len(signature), err)
}
