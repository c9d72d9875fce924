package provision

import (
	"crypto/ecdsa"
	"encoding/hex"
	"fmt"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// Plan is every Name and digest of a device's storage in hex, computed from the anchor without a TPM, so that an
// engineer can compare them with what another tool gives. The part about a device is empty for a whole fleet.
type Plan struct {
	Issuer  string            `json:"issuer"`
	NV      string            `json:"nv"`
	Boot    string            `json:"boot"`
	Index   string            `json:"index"`
	Keys    map[string]string `json:"key_names"`     // Names of the manufacturer's keys, as tpm2_loadexternal gives them
	States  map[string]string `json:"index_names"`   // Names of the index in each state
	Actions map[string]string `json:"nv_branches"`   // policy digests of write, delete and lock
	Policy  string            `json:"nv_policy"`     // authPolicy of the index
	Roles   map[string]string `json:"boot_branches"` // policy digests of primary and standby
	// WriteParameters is what TPM2_NV_Write's cpHash is the SHA-256 of, "RECORD" standing for the 768 bytes.
	WriteParameters string      `json:"write_parameters"`
	LockParameters  string      `json:"lock_parameters"`
	LockCPHash      string      `json:"lock_cphash"`
	Device          *DevicePlan `json:"device,omitempty"`
}

// DevicePlan is the part of a [Plan] that depends on the IMEIs and the record id.
type DevicePlan struct {
	Binding     string `json:"binding_hash"`
	AuthPolicy  string `json:"auth_policy"`
	Template    string `json:"key_template"`           // TPMT_PUBLIC for TPM2_CreatePrimary in the endorsement hierarchy
	KeyName     string `json:"key_name,omitempty"`     // once the public key is known
	WriteCPHash string `json:"write_cphash,omitempty"` // once the record is known
}

// NewPlan computes the part that all devices of a variant share.
func (o *OEM) NewPlan(variant attest.NVVariant, boot attest.BootKind) (*Plan, error) {
	p := o.Profile(variant, boot)
	if err := p.Check(); err != nil {
		return nil, err
	}
	plan := &Plan{
		Issuer: o.Issuer, Index: fmt.Sprintf("%#x", uint32(p.Index())), NV: variant.String(), Boot: boot.String(),
		Keys: make(map[string]string), States: make(map[string]string), Actions: make(map[string]string), Roles: make(map[string]string),
	}
	for _, fill := range []func(tpmprofile.Profile) error{plan.keys, plan.states, plan.branches, plan.parameters} {
		if err := fill(p); err != nil {
			return nil, err
		}
	}
	return plan, nil
}

func (plan *Plan) keys(p tpmprofile.Profile) error {
	for name, key := range map[string]*ecdsa.PublicKey{"nv": p.NVKey, "boot": p.BootPrimary, "boot_standby": p.BootStandby} {
		raw, err := tpmprofile.KeyNameOf(key)
		if err != nil {
			return err
		}
		plan.Keys[name] = hex.EncodeToString(raw)
	}
	return nil
}

func (plan *Plan) states(p tpmprofile.Profile) error {
	for _, state := range []tpmprofile.IndexState{tpmprofile.IndexDefined, tpmprofile.IndexWritten, tpmprofile.IndexLocked} {
		name, err := p.NVName(state)
		if err != nil {
			return err
		}
		plan.States[state.String()] = hex.EncodeToString(name)
	}
	public, err := p.NVPublic(tpmprofile.IndexDefined)
	if err == nil {
		plan.Policy = hex.EncodeToString(public.AuthPolicy.Buffer)
	}
	return err
}

func (plan *Plan) branches(p tpmprofile.Profile) error {
	actions, err := p.NVBranches()
	if err != nil {
		return err
	}
	for branch, name := range map[tpmprofile.Branch]string{tpmprofile.BranchWrite: "write", tpmprofile.BranchDelete: "delete", tpmprofile.BranchLock: "lock"} {
		plan.Actions[name] = hex.EncodeToString(actions[branch].Buffer)
	}
	roles, err := p.BootKeys().Branches(p.Boot)
	if err != nil {
		return err
	}
	for i, role := range []tpmprofile.BootRole{tpmprofile.RolePrimary, tpmprofile.RoleStandby} {
		plan.Roles[string(role)] = hex.EncodeToString(roles[i].Buffer)
	}
	return nil
}

// parameters are command code, the index's Name as authorisation and as index, and what the command takes (Part 1 section 18.7).
func (plan *Plan) parameters(p tpmprofile.Profile) error {
	defined, written := plan.States[tpmprofile.IndexDefined.String()], plan.States[tpmprofile.IndexWritten.String()]
	plan.WriteParameters = fmt.Sprintf("%08x%s%s%04xRECORD0000", uint32(tpmprofile.BranchWrite.Command()), defined, defined, tpmprofile.RecordSize)
	plan.LockParameters = fmt.Sprintf("%08x%s%s", uint32(tpmprofile.BranchLock.Command()), written, written)
	hash, err := p.LockCPHash()
	plan.LockCPHash = hex.EncodeToString(hash[:])
	return err
}

// ForDevice adds what depends on one device's IMEIs and record id. Its key may be nil.
func (plan *Plan) ForDevice(o *OEM, p tpmprofile.Profile, slots []imei.IMEI, recordID [16]byte, key *ecdsa.PublicKey) error {
	binding, err := attest.BindingHash(o.ID, slots, recordID)
	if err != nil {
		return err
	}
	policy, err := p.AuthPolicy(binding)
	if err != nil {
		return err
	}
	template, err := p.KeyTemplateBytes(binding)
	if err != nil {
		return err
	}
	plan.Device = &DevicePlan{Binding: hex.EncodeToString(binding[:]), AuthPolicy: hex.EncodeToString(policy), Template: hex.EncodeToString(template)}
	if key == nil {
		return nil
	}
	name, err := p.KeyName(key, binding)
	plan.Device.KeyName = hex.EncodeToString(name)
	return err
}

// PlanOf is the whole plan for the device of a package.
func (o *OEM) PlanOf(pack Package) (*Plan, error) {
	c, err := attest.DecodeCredential(pack.Credential)
	if err != nil {
		return nil, fmt.Errorf("the package's credential: %w", err)
	}
	plan, err := o.NewPlan(c.Storage.NV, c.Storage.Boot)
	if err != nil {
		return nil, err
	}
	p := o.Profile(c.Storage.NV, c.Storage.Boot)
	if err := plan.ForDevice(o, p, c.Slots, c.Storage.RecordID, c.Key); err != nil {
		return nil, err
	}
	binding, err := attest.BindingHash(o.ID, c.Slots, c.Storage.RecordID)
	if err != nil {
		return nil, err
	}
	raw, err := tpmprofile.Record{Binding: binding, Credential: pack.Credential}.Encode()
	if err != nil {
		return nil, err
	}
	hash, err := p.WriteCPHash(raw)
	plan.Device.WriteCPHash = hex.EncodeToString(hash[:])
	return plan, err
}

// ParsePublicKey reads a device's public key in PEM, as tpm2_readpublic -f pem writes it.
func ParsePublicKey(text []byte) (*ecdsa.PublicKey, error) { return parsePublicPEM(string(text)) }
