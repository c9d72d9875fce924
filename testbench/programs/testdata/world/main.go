// World is a test of a laboratory's own, as testbench/README.md shows it: a device is reprogrammed and registers.
package main

import (
	"context"
	"fmt"
	"os"

	"imei-attest/attest/imei"
	"imei-attest/testbench"
	"imei-attest/verifier"
)

// reprogram makes a device in a new World in the folder dir, changes its modem's IMEI, and lets it register with that.
func reprogram(ctx context.Context, dir string) (*testbench.Verdict, error) {
	w, err := testbench.NewWorld(ctx, dir, testbench.VaultTPM)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	own, err := imei.Parse("490154203237518")
	if err != nil {
		return nil, err
	}
	device, err := w.NewDevice(ctx, "mine", own)
	if err != nil {
		return nil, err
	}
	device.Modem.SetIMEI("356938035643809")

	nonce, err := w.Nonce(ctx)
	if err != nil {
		return nil, err
	}
	token, err := device.Attest(ctx, nonce)
	if err != nil {
		return nil, err
	}
	return w.Ask(ctx, token, verifier.Registration{
		InstanceID: "<urn:gsma:imei:35693803-564380-0>", Front: verifier.FrontHTTP})
}

func main() {
	verdict, err := reprogram(context.Background(), os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "world:", err)
		os.Exit(1)
	}
	fmt.Println(verdict.Status, verdict.Reasons)
}
