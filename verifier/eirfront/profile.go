package eirfront

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Profile is what an NRF tells AMFs of the front.
type Profile struct {
	Instance string // NF instance id, a UUID (TS 29.571 clause 5.3.2)
	Address  string // HOST:PORT at which AMFs reach it; the host is an address or a name
	TLS      bool
}

// nfProfile is the part of NFProfile (TS 29.510 clause 6.1.6.2.2) that a 5G-EIR has something to say in.
type nfProfile struct {
	NFInstanceID   string               `json:"nfInstanceId"`
	NFType         string               `json:"nfType"`
	NFStatus       string               `json:"nfStatus"`
	FQDN           string               `json:"fqdn,omitempty"`
	IPv4Addresses  []string             `json:"ipv4Addresses,omitempty"`
	IPv6Addresses  []string             `json:"ipv6Addresses,omitempty"`
	AllowedNFTypes []string             `json:"allowedNfTypes"`
	NFServices     []nfService          `json:"nfServices"`    // for an NRF of Release 15
	NFServiceList  map[string]nfService `json:"nfServiceList"` // and for those after it
}

// nfService is the one service (TS 29.510 clause 6.1.6.2.3).
type nfService struct {
	ServiceInstanceID string       `json:"serviceInstanceId"`
	ServiceName       string       `json:"serviceName"`
	Versions          []apiVersion `json:"versions"`
	Scheme            string       `json:"scheme"`
	NFServiceStatus   string       `json:"nfServiceStatus"`
	FQDN              string       `json:"fqdn,omitempty"`
	IPEndPoints       []ipEndPoint `json:"ipEndPoints"`
	AllowedNFTypes    []string     `json:"allowedNfTypes"`
}

type apiVersion struct {
	InURI string `json:"apiVersionInUri"`
	Full  string `json:"apiFullVersion"`
}

type ipEndPoint struct {
	IPv4      string `json:"ipv4Address,omitempty"`
	IPv6      string `json:"ipv6Address,omitempty"`
	Transport string `json:"transport"`
	Port      int    `json:"port"`
}

const (
	registered  = "REGISTERED"
	apiVersion1 = "v1"
	apiFull     = "1.0.0" // the first of v1, of which all later ones are extensions
	onlyNFType  = "AMF"   // the one consumer of the service (TS 29.511 clause 5.1)
)

// encode writes the profile for the NRF.
func (p Profile) encode() ([]byte, error) {
	host, portText, err := net.SplitHostPort(p.Address)
	port, broken := strconv.ParseUint(portText, 10, 16)
	if err = errors.Join(err, broken); err != nil {
		return nil, fmt.Errorf("the address for AMFs: %w", err)
	}
	s := nfService{ServiceInstanceID: scope + "-1", ServiceName: scope, Versions: []apiVersion{{apiVersion1, apiFull}}, Scheme: "http",
		NFServiceStatus: registered, IPEndPoints: []ipEndPoint{{Transport: "TCP", Port: int(port)}}, AllowedNFTypes: []string{onlyNFType}}
	if p.TLS {
		s.Scheme = "https"
	}
	n := nfProfile{NFInstanceID: p.Instance, NFType: nfType, NFStatus: registered, AllowedNFTypes: s.AllowedNFTypes}
	switch ip, err := netip.ParseAddr(host); {
	case err != nil:
		n.FQDN, s.FQDN = host, host
	case ip.Unmap().Is4():
		n.IPv4Addresses, s.IPEndPoints[0].IPv4 = []string{ip.Unmap().String()}, ip.Unmap().String()
	default:
		n.IPv6Addresses, s.IPEndPoints[0].IPv6 = []string{ip.String()}, ip.String()
	}
	n.NFServices, n.NFServiceList = []nfService{s}, map[string]nfService{s.ServiceInstanceID: s}
	return json.Marshal(n)
}
