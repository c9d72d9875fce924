//go:build linux

package modemtest_test

import (
	"path/filepath"
	"strings"

	"imei-attest/modem/modemtest"
	"imei-attest/testbench/peertest"
)

// The two daemons that hold modems on Linux desktops and phones. Each runs on a D-Bus bus of its own and reaches the modem's
// terminal through socat, as neither takes a pseudo-terminal for a modem.

var busPrograms = []peertest.Peer{socat, {Name: "dbus-daemon"}, {Name: "dbus-send", Package: "dbus-bin"}}

var modemManager = client{
	Peer:    peertest.Peer{Name: "ModemManager", Package: "modemmanager"},
	helpers: busPrograms,
	ask:     askModemManager,
}

// oFono keeps files in /var/lib/ofono under the IMSI, and nothing tells it another folder. A SIM that waits for its PIN tells
// no IMSI, so that the machine's own files are left alone. The IMEI does not need the SIM.
var ofono = client{
	Peer:    peertest.Peer{Name: "oFono", Program: "ofonod", Package: "ofono"},
	helpers: busPrograms,
	faults:  []modemtest.Fault{{Kind: modemtest.FaultInstead, Command: "+CPIN?", Text: "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n"}},
	ask:     askOFono,
}

// askModemManager returns what the two interfaces show: the 3GPP one's IMEI and the equipment identifier. They come of two
// parsers. The test interface makes a modem of a socket whose name begins with the letters "abstract:".
func askModemManager(d *desk) []string {
	const service, modem = "org.freedesktop.ModemManager1", "/org/freedesktop/ModemManager1/Modem/0"
	d.startBus()
	socket := "abstract:" + filepath.Base(d.folder)
	d.start("listening on (.*)", d.command("socat", "-d", "-d", "ABSTRACT-LISTEN:"+strings.Replace(socket, ":", `\:`, 1), d.terminal+",raw,echo=0"))
	d.startSilent(d.command("ModemManager", "--test-enable", "--test-no-udev", "--test-no-qrtr", "--test-no-suspend-resume", "--no-auto-scan", "--debug"))
	d.eventually(func() bool {
		_, ok := d.call(service, "/org/freedesktop/ModemManager1", service+".Test.SetProfile", "string:prof1", "string:generic", "array:string:"+socket)
		return ok
	})
	property := func(of, name string) string {
		answer, _ := d.call(service, modem, "org.freedesktop.DBus.Properties.Get", "string:"+of, "string:"+name)
		return find(`variant +string "(.*)"`, answer)[0]
	}
	// The modem appears when ModemManager has asked it everything.
	d.eventually(func() bool {
		_, ok := d.call(service, modem, "org.freedesktop.DBus.Properties.Get", "string:"+service+".Modem", "string:EquipmentIdentifier")
		return ok
	})
	return []string{property(service+".Modem.Modem3gpp", "Imei"), property(service+".Modem", "EquipmentIdentifier")}
}

// askOFono makes the emulator oFono's own emulator, phonesim, which it reaches by TCP.
func askOFono(d *desk) []string {
	const service, modem = "org.ofono", "/desk"
	d.startBus()
	port := d.start(`listening on AF=2 127\.0\.0\.1:([0-9]+)`, d.command("socat", "-d", "-d", "TCP-LISTEN:0,bind=127.0.0.1", d.terminal+",raw,echo=0"))
	config := d.file("phonesim.conf", "["+filepath.Base(modem)+"]\nAddress=127.0.0.1\nPort="+port+"\n")
	d.settings = append(d.settings, "OFONO_PHONESIM_CONFIG="+config)
	d.startSilent(d.command("ofonod", "--nodetach", "--plugin=phonesim,atmodem"))
	d.eventually(func() bool {
		_, ok := d.call(service, modem, "org.ofono.Modem.SetProperty", "string:Powered", "variant:boolean:true")
		return ok
	})
	shown := []string{""}
	d.eventually(func() bool {
		answer, _ := d.call(service, modem, "org.ofono.Modem.GetProperties")
		shown = find(`string "Serial"\s+variant +string "(.*)"`, answer)
		return shown[0] != ""
	})
	return shown
}

// startBus runs a bus for this desk alone and has its programs take it for the system's.
func (d *desk) startBus() {
	config := d.file("bus.conf", `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=`+filepath.Join(d.folder, "bus")+`</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
`)
	address := d.start("^(unix:.*)", d.command("dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile", "--print-address"))
	d.settings = append(d.settings, "DBUS_SYSTEM_BUS_ADDRESS="+address)
}

// call calls a method on the desk's bus.
func (d *desk) call(service, object, method string, args ...string) (answer string, ok bool) {
	cmd := d.command("dbus-send", append([]string{"--system", "--print-reply", "--dest=" + service, object, method}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}
