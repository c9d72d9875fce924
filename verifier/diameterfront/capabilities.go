package diameterfront

import (
	"net"

	"imei-attest/verifier/diameterfront/diameter"
)

// capabilitiesGrammar is that of the request (RFC 6733 section 5.3.1).
var capabilitiesGrammar = diameter.Grammar{
	{ID: diameter.OriginHost, Min: 1, Max: 1},
	{ID: diameter.OriginRealm, Min: 1, Max: 1},
	{ID: diameter.HostIPAddress, Min: 1, Example: "\x00\x01\x00\x00\x00\x00"},
	{ID: diameter.VendorID, Min: 1, Max: 1, Example: "\x00\x00\x00\x00"},
	{ID: diameter.ProductName, Min: 1, Max: 1},
	{ID: diameter.OriginStateID, Max: 1},
	{ID: diameter.SupportedVendorID},
	{ID: diameter.AuthApplicationID},
	{ID: diameter.InbandSecurityID},
	{ID: diameter.AcctApplicationID},
	{ID: diameter.VendorSpecificAppID},
	{ID: diameter.FirmwareRevision, Max: 1},
}

// theirs are a peer's capabilities, as far as they matter here.
type theirs struct{ host, realm string }

// readCapabilities reads those of a request or a successful answer, by its grammar. The error is a [*diameter.Error]; what was read of
// the names is there beside it.
func readCapabilities(m *diameter.Message, g diameter.Grammar) (t theirs, err error) {
	if err = g.Check(m.AVPs); err != nil {
		return t, err
	}
	if t.host, err = diameter.Find(m.AVPs, diameter.OriginHost).Identity(); err != nil {
		return t, err
	}
	if t.realm, err = diameter.Find(m.AVPs, diameter.OriginRealm).Identity(); err != nil {
		return t, err
	}
	return t, agree(m.AVPs)
}

// agree reports what both sides have in common: S13, and the protection of the connection, which is that of its first byte or none
// (RFC 6733 sections 5.3 and 13.1).
func agree(avps []diameter.AVP) error {
	application, security, asked := false, false, false
	for i := range avps {
		switch a := &avps[i]; a.ID {
		case diameter.AuthApplicationID:
			is, err := isS13(a)
			if err != nil {
				return err
			}
			application = application || is
		case diameter.VendorSpecificAppID:
			is, err := holdsS13(a)
			if err != nil {
				return err
			}
			application = application || is
		case diameter.InbandSecurityID:
			kind, err := a.Uint32()
			if err != nil {
				return err
			}
			asked, security = true, security || kind == diameter.NoInbandSecurity
		}
	}
	switch {
	case !application:
		return &diameter.Error{Code: diameter.NoCommonApplication, Problem: "S13 (16777252) is the one application here, and is not among the peer's"}
	case asked && !security:
		return &diameter.Error{Code: diameter.NoCommonSecurity, Problem: "TLS begins with the first byte of a connection, or not at all (RFC 6733 section 13.1)"}
	}
	return nil
}

// isS13: an agent that passes everything on does S13, too (RFC 6733 section 2.4).
func isS13(a *diameter.AVP) (bool, error) {
	number, err := a.Uint32()
	return number == diameter.ApplicationS13 || number == diameter.ApplicationRelay, err
}

// holdsS13 looks into a Vendor-Specific-Application-Id (RFC 6733 section 6.11).
func holdsS13(group *diameter.AVP) (bool, error) {
	var room [4]diameter.AVP
	inside, err := group.Group(room[:0])
	if err != nil {
		return false, err
	}
	for i := range inside {
		if inside[i].ID == diameter.AuthApplicationID {
			if is, err := isS13(&inside[i]); is || err != nil {
				return is, err
			}
		}
	}
	return false, nil
}

// appendCapabilities appends this side's, but for its names (RFC 6733 section 5.3).
func appendCapabilities(to []byte, node Node, conn net.Conn) []byte {
	to = diameter.AppendAddress(to, diameter.HostIPAddress, address(conn.LocalAddr()))
	to = diameter.AppendUint32(to, diameter.VendorID, 0) // of the program: no enterprise number is its own
	to = diameter.AppendText(to, diameter.ProductName, node.Product)
	to = diameter.AppendUint32(to, diameter.SupportedVendorID, diameter.Vendor3GPP)
	return appendApplication(to)
}

// appendApplication appends the Vendor-Specific-Application-Id of S13 (TS 29.272 clause 7.1.8).
func appendApplication(to []byte) []byte {
	return diameter.AppendGroup(to, diameter.VendorSpecificAppID, func(to []byte) []byte {
		to = diameter.AppendUint32(to, diameter.VendorID, diameter.Vendor3GPP)
		return diameter.AppendUint32(to, diameter.AuthApplicationID, diameter.ApplicationS13)
	})
}
