package diameter

// The commands (RFC 6733 section 3.1, TS 29.272 clause 7.2.2).
const (
	CapabilitiesExchange uint32 = 257
	DeviceWatchdog       uint32 = 280
	DisconnectPeer       uint32 = 282
	MEIdentityCheck      uint32 = 324
)

// The applications (RFC 6733 section 2.4, TS 29.272 clause 7.1.8).
const (
	ApplicationBase  uint32 = 0
	ApplicationS13   uint32 = 16777252
	ApplicationRelay uint32 = 0xFFFFFFFF // an agent that passes on what it does not know
)

// Vendor3GPP is the number of 3GPP among enterprises (TS 29.230 clause 4).
const Vendor3GPP uint32 = 10415

// AVPs of the base protocol (RFC 6733 section 4.5).
var (
	UserName             = ID{1, 0}
	HostIPAddress        = ID{257, 0}
	AuthApplicationID    = ID{258, 0}
	AcctApplicationID    = ID{259, 0}
	VendorSpecificAppID  = ID{260, 0}
	SessionID            = ID{263, 0}
	OriginHost           = ID{264, 0}
	SupportedVendorID    = ID{265, 0}
	VendorID             = ID{266, 0}
	FirmwareRevision     = ID{267, 0}
	ResultCodeAVP        = ID{268, 0}
	ProductName          = ID{269, 0}
	DisconnectCause      = ID{273, 0}
	AuthSessionState     = ID{277, 0}
	OriginStateID        = ID{278, 0}
	FailedAVP            = ID{279, 0}
	ErrorMessage         = ID{281, 0}
	RouteRecord          = ID{282, 0}
	DestinationRealm     = ID{283, 0}
	ProxyInfo            = ID{284, 0}
	DestinationHost      = ID{293, 0}
	OriginRealm          = ID{296, 0}
	ExperimentalResult   = ID{297, 0}
	ExperimentalCode     = ID{298, 0}
	InbandSecurityID     = ID{299, 0}
	DiameterRequestPrior = ID{301, 0} // DRMP (RFC 7944 section 9.1)
)

// AVPs of S13 (TS 29.272 clause 7.3).
var (
	TerminalInformation = ID{1401, Vendor3GPP} // clause 7.3.3
	IMEI                = ID{1402, Vendor3GPP} // clause 7.3.4
	SoftwareVersion     = ID{1403, Vendor3GPP} // clause 7.3.5
	MEID                = ID{1471, Vendor3GPP} // clause 7.3.6, 3GPP2-MEID
	EquipmentStatus     = ID{1445, Vendor3GPP} // clause 7.3.51
	SupportedFeatures   = ID{628, Vendor3GPP}  // TS 29.229 clause 6.3.29
)

// NoStateMaintained is the Auth-Session-State of S13 (TS 29.272 clause 7.1.4, RFC 6733 section 8.11).
const NoStateMaintained uint32 = 1

// NoInbandSecurity is the Inband-Security-Id of who protects the connection otherwise, or not at all (RFC 6733 section 6.10).
const NoInbandSecurity uint32 = 0
