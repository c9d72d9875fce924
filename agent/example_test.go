package agent_test

import (
	"context"
	"fmt"
	"time"

	"imei-attest/agent"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// A modem whose IMEI is changed while it is watched. On a device, Open is serialport.Open with the path of the port.
func ExampleMonitor() {
	emulator, err := modemtest.New(modemtest.Config{IMEI: "490154203237518"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	monitor, err := agent.NewMonitor(agent.MonitorConfig{
		Open: func(context.Context) (modem.Port, error) { return emulator.Pipe(), nil },
		Report: func(e agent.Event) error {
			fmt.Println(e.Kind, e.IMEI)
			if e.Kind == agent.EventChanged {
				stop()
			}
			emulator.SetIMEI("356938035643809")
			return nil
		},
		Interval: time.Millisecond, Now: time.Now, After: time.After,
	})
	if err == nil {
		err = monitor.Run(ctx)
	}
	fmt.Println(err)
	// Output:
	// first 49015420*****18
	// changed 35693803*****09
	// <nil>
}
