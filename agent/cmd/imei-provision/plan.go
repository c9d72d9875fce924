package main

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"

	"imei-attest/agent/provision"
	"imei-attest/attest"
)

var planCommand = command{
	example: `  imei-provision plan --anchor oem-anchor.yaml
  imei-provision plan --anchor oem-anchor.yaml --package unit.package --json
  imei-provision plan --anchor oem-anchor.yaml --imei 352099001761481 --record-id 000102030405060708090a0b0c0d0e0f --key device.pem
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var f planFlags
		f.anchor.declare(flags)
		f.unit.declareSlots(flags)
		flags.StringVar(&f.nv, "nv", "platform", "who creates the NV index: platform or owner")
		flags.BoolVar(&f.unmeasured, "unmeasured", false, "for devices whose boot is not measured")
		flags.StringVar(&f.recordID, "record-id", "", "record id of a device, 16 bytes in `hex`; with --imei")
		flags.StringVar(&f.key, "key", "", "public key of a device, PEM `FILE`; with --imei")
		flags.StringVar(&f.file, "package", "", "the device of a package, `FILE`; says --nv, --imei and so on itself")
		flags.BoolVar(&f.json, "json", false, "print JSON")
		return func(_ context.Context, stdout, _ io.Writer) error {
			plan, err := f.plan()
			if err != nil {
				return err
			}
			if f.json {
				encoder := json.NewEncoder(stdout)
				encoder.SetIndent("", "  ")
				return encoder.Encode(plan)
			}
			showPlan(stdout, plan)
			return nil
		}
	},
}

type planFlags struct {
	anchor                  anchorFlag
	unit                    unitFlags
	nv, recordID, key, file string
	unmeasured, json        bool
}

func (f *planFlags) plan() (*provision.Plan, error) {
	oem, err := f.anchor.load()
	if err != nil {
		return nil, err
	}
	if f.file != "" {
		p, err := decoded("--package", f.file, provision.DecodePackage)
		if err != nil {
			return nil, err
		}
		return oem.PlanOf(p)
	}
	variant, err := parseNV(f.nv)
	if err != nil || variant == 0 {
		return nil, usagef("--nv %q: want platform or owner", f.nv)
	}
	boot := attest.BootMeasured
	if f.unmeasured {
		boot = attest.BootUnmeasured
	}
	plan, err := oem.NewPlan(variant, boot)
	if err != nil {
		return nil, err
	}
	slots, err := f.unit.slots()
	if err != nil || len(slots) == 0 {
		return plan, err
	}
	id, err := hex.DecodeString(f.recordID)
	if err != nil || len(id) != 16 {
		return nil, usagef("--record-id: want 16 bytes in hex, beside --imei")
	}
	var key *ecdsa.PublicKey
	if f.key != "" {
		if key, err = decoded("--key", f.key, provision.ParsePublicKey); err != nil {
			return nil, err
		}
	}
	return plan, plan.ForDevice(oem, oem.Profile(variant, boot), slots, [16]byte(id), key)
}

func showPlan(w io.Writer, p *provision.Plan) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-28s %s\n", name, value)
		}
	}
	table := func(prefix string, values map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			line(prefix+" "+name, values[name])
		}
	}
	line("issuer", p.Issuer)
	line("NV index", p.Index+" ("+p.NV+")")
	line("boot", p.Boot)
	table("Name of key", p.Keys)
	table("Name of index,", p.States)
	table("NV policy branch", p.Actions)
	line("NV authPolicy", p.Policy)
	table("boot policy branch", p.Roles)
	line("NV_Write cpHash of", p.WriteParameters)
	line("NV_WriteLock cpHash of", p.LockParameters)
	line("NV_WriteLock cpHash", p.LockCPHash)
	if d := p.Device; d != nil {
		line("binding hash", d.Binding)
		line("key authPolicy", d.AuthPolicy)
		line("key template", d.Template)
		line("key Name", d.KeyName)
		line("NV_Write cpHash", d.WriteCPHash)
	}
}
