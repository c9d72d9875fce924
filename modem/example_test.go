package modem_test

import (
	"context"
	"errors"
	"fmt"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// A program opens a real port with serialport.Open; here an emulated modem stands in.
func ExampleReader_Read() {
	emulator, err := modemtest.New(modemtest.Config{Profile: "ublox"})
	if err != nil {
		fmt.Println(err)
		return
	}
	port := emulator.Pipe()
	defer port.Close()
	reading, err := modem.NewReader(port, modem.Config{}).Read(context.Background())
	if err != nil {
		fmt.Println(err) // no reading at all: the port failed
		return
	}
	slot := reading.Slots[0]
	fmt.Println(reading.Manufacturer, reading.Model)
	fmt.Println(slot.IMEI, "told by", slot.Methods.Strings())
	fmt.Println("agreement", reading.Agreement)
	// Output:
	// u-blox SARA-R410M-02B
	// 35752007*****86 told by [cgsn=1 cgsn=2 cgsn=3 cgsn gsn vendor]
	// agreement full
}

func ExampleReader_Ask() {
	emulator, err := modemtest.New(modemtest.Config{IMEI: "490154203237519"})
	if err != nil {
		fmt.Println(err)
		return
	}
	port := emulator.Pipe()
	defer port.Close()
	answer, err := modem.NewReader(port, modem.Config{}).Ask(context.Background(), "AT+GSN")
	if err != nil {
		fmt.Println(err)
		return
	}
	var bad *modem.AnswerError
	if errors.As(answer.Err(), &bad) {
		fmt.Println(bad)
	}
	// Output:
	// AT+GSN: luhn: "49015420*****19"
}
