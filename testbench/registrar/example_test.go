package registrar_test

import (
	"context"
	"fmt"

	"imei-attest/testbench/registrar"
)

// A phone registers at the S-CSCF in little, which asks a judge. At Kamailio it is the same, with StartSCSCF.
func ExampleStartStandIn() {
	ctx := context.Background()
	alice := registrar.NewSubscriber("001010000000017")
	judge := func(_ context.Context, message []byte, known registrar.Facts) (int, error) {
		fmt.Printf("asked about a REGISTER: %s, integrity-protected %s, answers a challenge: %t\n", known.Algorithm, known.Protected, known.Outstanding)
		return 403, nil
	}
	s, err := registrar.StartStandIn(ctx, []registrar.Subscriber{alice}, judge)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	ue, err := registrar.NewUE(ctx, "udp", s.Addr, alice, "<urn:gsma:imei:49015420-323751-0>", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ue.Close()
	challenge, err := ue.Start(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("challenged by", challenge.Algorithm)
	response, err := ue.Register(ctx, challenge, registrar.Body{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(response.Status())
	// Output:
	// challenged by AKAv1-MD5
	// asked about a REGISTER: AKAv1-MD5, integrity-protected yes, answers a challenge: true
	// 403 Forbidden
}
