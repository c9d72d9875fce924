package httpapi

import (
	_ "embed"
	"net/http"
)

// openAPI describes every exchange; a test holds the handlers to it.
//
//go:embed openapi.yaml
var openAPI []byte

const typeYAML = "application/yaml" // RFC 9512

func (a *api) openAPI(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, typeYAML, openAPI)
}
