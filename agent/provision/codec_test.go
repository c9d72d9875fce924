package provision_test

import (
	"bytes"
	"testing"

	"imei-attest/agent/provision"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// sampleRequest is one that the manufacturer would sign.
func sampleRequest(t testing.TB, oem *provision.OEM) provision.Request {
	t.Helper()
	r := provision.Request{
		Unit:    provision.Unit{Slots: []imei.IMEI{attesttest.MustIMEI(attesttest.IMEI1)}, Model: "m", Serial: 1, Class: 3},
		Engine:  tpmprofile.Engine{Manufacturer: "IBM", Firmware: "1.2.3.4"},
		Key:     &attesttest.Key("device").PublicKey,
		Storage: attest.Storage{Kind: attest.StorageTPMEmulated, Boot: attest.BootMeasured, NV: attest.NVPlatform, EKNameHash: make([]byte, 32), RecordID: [16]byte{1}},
	}
	binding, err := attest.BindingHash(oem.ID, r.Unit.Slots, r.Storage.RecordID)
	if err != nil {
		t.Fatal(err)
	}
	if r.Storage.KeyName, err = oem.Profile(attest.NVPlatform, attest.BootMeasured).KeyName(r.Key, binding); err != nil {
		t.Fatal(err)
	}
	return r
}

// laboratory is a manufacturer without a folder.
func laboratory() *provision.OEM {
	return &provision.OEM{
		Issuer: anchor.Issuer, ID: anchor.OEMID, TACs: []string{"*"}, Development: true,
		StorageKinds: []attest.StorageKind{attest.StorageTPMEmulated},
		Credential:   attesttest.Key("oem credential"), NV: attesttest.Key("oem nv"), Boot: attesttest.Key("oem boot"),
		StandbyPublic: &attesttest.Key("oem boot standby").PublicKey,
	}
}

func sampleFiles(t testing.TB) (request, pack []byte) {
	t.Helper()
	oem := laboratory()
	r := sampleRequest(t, oem)
	p, err := oem.Sign(r, attesttest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if request, err = r.Encode(); err != nil {
		t.Fatal(err)
	}
	if pack, err = p.Encode(); err != nil {
		t.Fatal(err)
	}
	return request, pack
}

// again decodes a file of either kind and encodes it.
func again(raw []byte) ([]byte, error) {
	if r, err := provision.DecodeRequest(raw); err == nil {
		return r.Encode()
	}
	p, err := provision.DecodePackage(raw)
	if err != nil {
		return nil, err
	}
	return p.Encode()
}

func TestFilesComeBackTheSame(t *testing.T) {
	request, pack := sampleFiles(t)
	for _, raw := range [][]byte{request, pack} {
		if got, err := again(raw); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%x came back as %x, %v", raw, got, err)
		}
		for n := range raw {
			if _, err := again(raw[:n]); err == nil {
				t.Fatalf("the first %d bytes were accepted", n)
			}
		}
		if _, err := again(append(bytes.Clone(raw), 0)); err == nil {
			t.Error("a file with something behind it was accepted")
		}
	}
}

func FuzzDecodeFile(f *testing.F) {
	request, pack := sampleFiles(f)
	f.Add(request)
	f.Add(pack)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, err := again(raw); err == nil && !bytes.Equal(got, raw) {
			t.Errorf("%x encodes to %x", raw, got)
		}
	})
}

func TestRequestsThatAreNotSigned(t *testing.T) {
	oem := laboratory()
	for what, spoil := range map[string]func(*provision.Request){
		"another Name":              func(r *provision.Request) { r.Storage.KeyName = make([]byte, tpmprofile.NameBytes) },
		"another key":               func(r *provision.Request) { r.Key = &attesttest.Key("other").PublicKey },
		"another record id":         func(r *provision.Request) { r.Storage.RecordID[0]++ },
		"another IMEI":              func(r *provision.Request) { r.Unit.Slots = []imei.IMEI{attesttest.MustIMEI(attesttest.IMEI2)} },
		"another boot kind":         func(r *provision.Request) { r.Storage.Boot = attest.BootUnmeasured },
		"another variant":           func(r *provision.Request) { r.Storage.NV = attest.NVOwner },
		"no variant":                func(r *provision.Request) { r.Storage.NV = 0 },
		"software":                  func(r *provision.Request) { r.Storage.Kind = attest.StorageSoftware },
		"an emulator called a chip": func(r *provision.Request) { r.Storage.Kind = attest.StorageTPMDiscrete },
		"no IMEI":                   func(r *provision.Request) { r.Unit.Slots = nil },
	} {
		r := sampleRequest(t, oem)
		spoil(&r)
		if _, err := oem.Sign(r, attesttest.Now); err == nil {
			t.Errorf("a request with %s was signed", what)
		}
	}
}
