package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime"
)

// door is what all handlers of a listener have in common: who may ask, and that every refusal is a problem document.
type door struct {
	mux      *http.ServeMux
	identify func(*http.Request) Client
	log      *slog.Logger
	guide    string // what tells whoever asks for a path that there is not
}

func newDoor(identify func(*http.Request) Client, log *slog.Logger, guide string) *door {
	return &door{http.NewServeMux(), identify, log, guide}
}

// handle lets who has all the needed roles reach a handler; none are needed for what is for everybody.
func (d *door) handle(needed Role, pattern string, handler http.HandlerFunc) {
	d.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if lacking := needed &^ d.identify(r).Roles; lacking != 0 {
			forbid(w, lacking)
			return
		}
		handler(w, r)
	})
}

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer d.survive(w, r)
	found, pattern := d.mux.Handler(r)
	if pattern == "" || path.Clean(r.URL.Path) != r.URL.Path {
		d.refuseRoute(w, r, found)
		return
	}
	d.mux.ServeHTTP(w, r)
}

// published is the guide at the address for everybody.
const published = "GET /openapi.yaml says what there is"

// refuseRoute says what the mux would say in plain text.
func (d *door) refuseRoute(w http.ResponseWriter, r *http.Request, found http.Handler) {
	said := unsaid{}
	found.ServeHTTP(said, r)
	if allowed := http.Header(said).Get("Allow"); allowed != "" {
		w.Header().Set("Allow", allowed)
		refuse(w, http.StatusMethodNotAllowed, "this takes %s", allowed)
		return
	}
	refuse(w, http.StatusNotFound, "nothing is here: %s", d.guide)
}

// unsaid takes the header of an answer and drops the rest.
type unsaid http.Header

func (u unsaid) Header() http.Header         { return http.Header(u) }
func (u unsaid) Write(p []byte) (int, error) { return len(p), nil }
func (u unsaid) WriteHeader(int)             {}

// survive answers for a handler that panicked.
func (d *door) survive(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	switch cause {
	case nil:
		return
	case http.ErrAbortHandler:
		panic(cause) // on purpose: the answer is not whole
	}
	logFault(r, d.log, cause)
	refuse(w, http.StatusInternalServerError, aFault)
}

// logFault is for the deferred function that recovered. The log says where, and nothing of what was worked on.
func logFault(r *http.Request, log *slog.Logger, cause any) {
	problem := fmt.Sprintf("%T", cause)
	if err, ok := cause.(runtime.Error); ok {
		problem = err.Error()
	}
	log.ErrorContext(r.Context(), "a fault of this program", "route", r.Pattern, "problem", problem, "at", panicked())
}

// panicked lists the functions that were under way, the innermost first, without their arguments.
func panicked() (at []string) {
	const depth, helpers = 16, 4 // Callers, panicked, logFault, and the deferred function
	var pcs [depth]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(helpers, pcs[:])])
	for {
		f, more := frames.Next()
		at = append(at, fmt.Sprintf("%s:%d", f.Function, f.Line))
		if !more {
			return at
		}
	}
}
