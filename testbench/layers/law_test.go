package layers

// Third-party modules by the names the law uses. Each must be in go.mod. Where each is allowed, the lines below say.
const (
	cbor       = "github.com/fxamacker/cbor/v2"             // strict decoding of foreign bytes, canonical encoding
	goTPM      = "github.com/google/go-tpm"                 // TPM structures and commands
	jwt        = "github.com/golang-jwt/jwt/v5"             // the attestation result as relying parties read it
	cobra      = "github.com/spf13/cobra"                   // command lines with sub-commands, where size is no matter
	goInternal = "github.com/rogpeppe/go-internal"          // testscript; tests only, as no line allows it
	tarmSerial = "github.com/tarm/serial"                   // reads and writes of serial ports; all its waiting is done for it
	goCOSE     = "github.com/veraison/go-cose"              // a second opinion on our signatures; tests only, as no line allows it
	xsys       = "golang.org/x/sys"                         // system calls that the standard library lacks
	pkcs8      = "github.com/youmark/pkcs8"                 // encrypted private keys of the manufacturer (PBES2)
	pkcs11     = "github.com/miekg/pkcs11"                  // keys in a token; needs cgo, so behind a build tag of its own
	xterm      = "golang.org/x/term"                        // a passphrase that is typed and not shown
	yaml       = "go.yaml.in/yaml/v4"                       // files that people write
	xtime      = "golang.org/x/time"                        // token buckets of the service's callers
	fsnotify   = "github.com/fsnotify/fsnotify"             // events of a folder whose changes take effect while a program runs
	prometheus = "github.com/prometheus/client_golang"      // what is counted, in the words of the monitoring that operators have
	progress   = "github.com/schollz/progressbar/v3"        // a bar on a terminal, with the time that is left
	sqlite     = "modernc.org/sqlite"                       // a database in one file, without cgo
	sipgo      = "github.com/emiago/sipgo"                  // SIP messages over UDP and TCP: framing, parsing, answers, transactions' keys
	jsonschema = "github.com/santhosh-tekuri/jsonschema/v6" // the description of the HTTP interface; tests only, as no line allows it
	transport  = goTPM + "/tpm2/transport"                  // the interface; what opens a device is in folders below it
	tpmLegacy  = goTPM + "/legacy"                          // the old API
	tpmUtil    = goTPM + "/tpmutil"                         // the old API's framing
)

var modules = []string{cbor, goTPM, jwt, cobra, goInternal, tarmSerial, goCOSE, xsys, pkcs8, pkcs11, xterm, xtime, yaml, fsnotify, prometheus, progress,
	sqlite, sipgo, jsonschema}

// line is the law for one folder.
type line struct {
	may     []string           // packages of ours that it may import; "x/..." is x and all below it
	modules []string           // third-party modules
	opens   map[outside]string // what it touches of the world outside the program, and why it may
}

// law has a line for every folder with Go files. Mains (<role>/cmd/<binary>) and *test packages may touch the outside
// without saying so: the one decides which device, file, socket and clock, the other pretends to be them.
var law = map[string]line{
	"attest/imei": {},
	"attest":      {may: []string{"attest/imei"}, modules: []string{cbor}},
	"attest/tpmprofile": {
		may:     []string{"attest", "attest/imei"},
		modules: []string{goTPM, cbor},
	},
	"attest/attesttest": {
		may:     []string{"attest", "attest/imei", "attest/tpmprofile"},
		modules: []string{cbor},
	},

	"modem": {
		may:   []string{"attest/imei"},
		opens: map[outside]string{clock: "deadlines and durations of reads, monotonic; nothing is judged by them"},
	},
	"modem/serialport": {
		may:     []string{"modem"},
		modules: []string{tarmSerial, xsys}, // no other folder has tarm/serial: by itself it can block for ever, and takes a time-out for a hang-up
		opens: map[outside]string{
			clock: "deadlines of reads and writes, monotonic",
			files: "it is the one opener of serial ports; a main names the path",
		},
	},
	"modem/modemtest": {
		may:     []string{"modem", "modem/serialport", "attest/imei"}, // it replays the corpus through the real opener
		modules: []string{xsys},                                       // the PTY
	},

	"agent": {
		may:   []string{"attest", "attest/imei", "modem"},
		opens: map[outside]string{clock: "the age of a reading when it is signed, a monotonic duration; the device judges nothing by it"},
	},
	"agent/tpmvault": {
		may:     []string{"agent", "attest", "attest/imei", "attest/tpmprofile"},
		modules: []string{goTPM},
	},
	"agent/tpmvault/tpmdev": {
		modules: []string{goTPM, xsys},
		opens: map[outside]string{
			clock:   "deadlines of TPM commands, monotonic",
			files:   "it is the one opener of TPM devices; a main names the path",
			network: "the unix socket of a TPM; a main names the path",
		},
	},
	"agent/tpmvault/tpmtest": {
		may:     []string{"agent", "agent/tpmvault", "agent/tpmvault/tpmdev", "attest", "attest/imei", "attest/tpmprofile"},
		modules: []string{goTPM},
	},
	"agent/tpmvault/attacktest": {
		may: []string{"agent", "agent/provision", "agent/tpmvault", "agent/tpmvault/tpmtest", "attest", "attest/attesttest", "attest/imei",
			"attest/tpmprofile"},
		modules: []string{goTPM},
	},
	"agent/softvault": {
		may:   []string{"agent", "agent/softvault/privatefile", "attest", "attest/imei"},
		opens: map[outside]string{files: "the vault is a file; a main names the folder"},
	},
	"agent/softvault/privatefile": {
		opens: map[outside]string{files: "it is the one keeper of files with private keys; a main names the folder"},
	},
	"agent/provision": {
		may:     []string{"agent", "agent/softvault/privatefile", "attest", "attest/imei", "attest/tpmprofile"},
		modules: []string{cbor, pkcs8, yaml},
		opens:   map[outside]string{files: "the manufacturer's key folder and approvals; a main names the folders"},
	},
	"agent/submit": {
		may:   []string{"agent", "attest", "attest/imei"},
		opens: map[outside]string{network: "it is the device's one network client; a main names the verifier"},
	},
	"agent/cmd/imei-agent": {
		may: []string{"agent", "agent/submit", "agent/softvault", "agent/tpmvault", "agent/tpmvault/tpmdev", "modem", "modem/serialport",
			"attest", "attest/imei", "attest/tpmprofile"},
	},
	"agent/cmd/imei-provision": {
		may: []string{"agent", "agent/provision", "agent/softvault", "agent/softvault/privatefile", "agent/tpmvault", "agent/tpmvault/tpmdev", "modem", "modem/serialport",
			"attest", "attest/imei", "attest/tpmprofile"},
		modules: []string{pkcs11, xterm},
	},

	"verifier": {may: []string{"attest", "attest/imei", "attest/tpmprofile"}},
	"verifier/reload": {
		modules: []string{fsnotify},
		opens:   map[outside]string{files: "it watches the folders of a configuration; a main names them"},
	},
	"verifier/trust": {
		may:     []string{"verifier", "verifier/reload", "attest", "attest/imei", "attest/tpmprofile"},
		modules: []string{yaml},
		opens:   map[outside]string{files: "the trust folder is files; a main names it"},
	},
	"verifier/strictyaml":  {may: []string{"attest/imei"}, modules: []string{yaml}},
	"verifier/access":      {modules: []string{xtime}},
	"verifier/metrics":     {may: []string{"verifier", "attest"}, modules: []string{prometheus}},
	"verifier/redact":      {may: []string{"attest/imei"}},
	"verifier/config":      {may: []string{"verifier/strictyaml"}, modules: []string{yaml}},
	"verifier/trust/corim": {may: []string{"verifier", "verifier/trust", "attest"}, modules: []string{cbor}}, // foreign bytes; files are trust's
	"verifier/policy": {
		may:     []string{"verifier", "verifier/reload", "verifier/strictyaml", "attest", "attest/imei"},
		modules: []string{yaml},
		opens:   map[outside]string{files: "the policy is a file; a main names it"},
	},
	"verifier/lists": {
		may:   []string{"verifier", "verifier/reload", "attest/imei"},
		opens: map[outside]string{files: "the operator's list is a file; a main names it"},
	},
	"verifier/store":           {may: []string{"verifier", "attest", "attest/imei"}},
	"verifier/store/storetest": {may: []string{"verifier", "verifier/store", "attest", "attest/imei", "attest/attesttest"}},
	"verifier/store/sqlite": {
		may:     []string{"verifier", "attest", "attest/imei"},
		modules: []string{cbor, sqlite},
		opens:   map[outside]string{files: "the store is a file, and so are its lock and its backups; a main names them"},
	},
	"verifier/ear":      {may: []string{"verifier", "attest", "attest/imei"}, modules: []string{jwt, cbor}}, // the two carriers of a result
	"verifier/kamailio": {},                                                                                 // the include files of the gate
	"verifier/sip":      {},                                                                                 // foreign bytes: the requests of strangers

	"verifier/httpapi":  {may: []string{"verifier", "verifier/ear", "verifier/sip", "attest", "attest/imei"}},
	"verifier/eirfront": {may: []string{"verifier", "attest"}, modules: []string{jwt}}, // the NRF's access tokens; a main makes its connections
	"verifier/sipfront": {
		may:     []string{"verifier", "verifier/sip"},
		modules: []string{sipgo}, // no other folder has it: what strangers wrote is read by verifier/sip
		opens:   map[outside]string{clock: "deadlines of sockets, monotonic"},
	},
	"verifier/diameterfront": {
		may:   []string{"verifier", "verifier/diameterfront/diameter", "attest"},
		opens: map[outside]string{clock: "deadlines and the watchdog of connections, monotonic; nothing is judged by it"},
	},
	"verifier/diameterfront/diameter": {}, // foreign bytes of Diameter: it opens nothing and knows nothing of ours
	"verifier/bench": {
		may: []string{"verifier", "verifier/diameterfront/diameter", "attest", "attest/imei", "attest/tpmprofile"},
		opens: map[outside]string{
			clock:   "it measures how long answers take; nothing is judged by it",
			network: "it is the load on a verifier; a main names the address",
		},
	},
	"verifier/cmd/imei-verifier": {
		may: []string{"verifier", "verifier/access", "verifier/bench", "verifier/config", "verifier/diameterfront", "verifier/ear", "verifier/eirfront", "verifier/httpapi", "verifier/lists", "verifier/metrics", "verifier/policy", "verifier/redact", "verifier/reload", "verifier/sipfront", "verifier/store",
			"verifier/store/sqlite", "verifier/strictyaml", "verifier/trust", "verifier/trust/corim", "attest", "attest/imei"},
		modules: []string{cobra, progress},
	},

	"testbench": {
		may:     []string{"testbench/registrar", "attest/...", "modem/...", "agent/...", "verifier/..."},
		modules: []string{cbor}, // tokens in diagnostic notation
		opens: map[outside]string{
			clock:    "it measures how long a scenario takes, and is the clock of the verifier it starts",
			files:    "tokens, results and transcripts that a scenario keeps",
			network:  "the verifier of a scenario listens on loopback",
			programs: "the TPM engine of a scenario",
		},
	},
	"testbench/registrar/gate": {may: []string{"testbench/registrar", "verifier/bench"}}, // tests only
	"testbench/registrar": {
		may: []string{"attest/imei", "verifier/kamailio", "verifier/sip"},
		opens: map[outside]string{
			clock:    "time-outs and retransmissions of SIP",
			files:    "the configuration of the Kamailio that it starts, in a folder that the caller names",
			network:  "HSS, registrar and UE speak on loopback",
			programs: "Kamailio",
		},
	},
	"testbench/layers":   {},
	"testbench/peertest": {}, // tests of every role import it, so it imports none
	"testbench/programs": {}, // tests only
	"testbench/nrftest":  {}, // an NRF, for tests of the verifier's role
	"testbench/cmd/imei-lab": {
		may:     []string{"testbench", "testbench/registrar", "attest/...", "modem/...", "agent/...", "verifier/..."},
		modules: []string{cobra},
	},
}

// nested are the modules of their own below this one, and why they are. The go command does not look into them from here,
// nor does the law: nothing of ours can import them. They hold tests only.
var nested = map[string]string{
	"agent/tpmvault/simulator": "the simulator is C code that go-tpm-tools compiles: neither may become a part of ours",
}

// later are the folders that have a line and no code yet, and the modules that the law already places. Every other
// name in the law must exist: a rule about a package that was renamed guards nothing.
var later = []string{}

// ban says what a folder must not reach, directly or through packages of ours, and why. A folder's line forbids most of
// it too; a ban also holds for whoever widens the line, and tells him the reason.
type ban struct {
	from    []string // folders
	except  []string // folders of those that may
	to      []string // packages of ours, of the standard library or third-party; "*test" is every package named so
	minimal bool     // counts only the files of a build with -tags minimal
	why     string
}

// shipped are the programs that leave the laboratory.
var shipped = []string{"agent/cmd/...", "verifier/cmd/..."}

var bans = []ban{
	{
		from: []string{"attest/imei"},
		to:   append([]string{"attest", "attest/tpmprofile", "modem/...", "agent/...", "verifier/...", "testbench/...", "*test"}, modules...),
		why:  "attest/imei reads an attacker's digits in every program: the standard library must do",
	},
	{
		from: []string{"attest/..."},
		to:   []string{"modem/...", "agent/...", "verifier/...", "testbench/..."},
		why:  "attest is the ground that all roles stand on: a format does not know who sends or judges it",
	},
	{
		from: []string{"attest"},
		to:   []string{"attest/tpmprofile", goTPM},
		why:  "a token can be read and written without knowing a TPM",
	},
	{
		from: []string{"modem/..."},
		to:   []string{"attest", "attest/tpmprofile", "agent/...", "verifier/...", "testbench/..."},
		why:  "modem reports what a modem said; what it is worth is decided elsewhere",
	},
	{
		from: []string{"verifier/..."},
		to:   []string{"agent/...", "modem/..."},
		why:  "a verifier that runs the attester's code shares its faults, and must judge attesters it did not write",
	},
	{
		from: []string{"verifier/...", "attest/..."},
		to:   []string{"agent/tpmvault/tpmdev", transport + "/..."},
		why:  "Names and policies are computed without a TPM: only a device has one to talk to",
	},
	{
		from: shipped,
		to:   []string{"*test", "testbench/...", "testing"},
		why:  "no simulator, fake key or test switch in a shipped program: who can turn it on forges evidence",
	},
	{
		from: []string{"agent"},
		to:   []string{"net/http", goTPM, tarmSerial, xsys, "modem/serialport", "agent/tpmvault/...", "agent/softvault", "agent/submit"},
		why:  "agent declares the vault and the modem it needs; which ones a device has, and what they weigh, is the main's choice",
	},
	{
		from:   []string{"attest/...", "modem/...", "agent/..."},
		except: []string{"agent/submit", "agent/cmd/imei-agent"},
		to:     []string{"net/http"},
		why:    "net/http is 2.9 MB of a 4 MB program: on the device it stands in agent/submit alone",
	},
	{
		from:    []string{"agent/cmd/imei-agent"},
		minimal: true,
		to:      []string{"net/http", "agent/submit"},
		why:     "the minimal build is for devices that have no room for net/http",
	},
	{
		from: []string{"attest/...", "modem/...", "agent/...", "verifier/...", "testbench/..."},
		to: []string{transport + "/linuxtpm", transport + "/linuxudstpm", transport + "/tcp", transport + "/simulator", transport + "/windowstpm",
			tpmLegacy + "/...", tpmUtil + "/..."},
		why: "agent/tpmvault/tpmdev is the only opener of a TPM: the library's transports have no deadline and trust one read",
	},
	{
		from: []string{"attest/...", "agent/tpmvault", "agent/softvault", "agent/provision", "agent/submit", "verifier/..."},
		to:   []string{"modem/serialport"},
		why:  "modem/serialport is the only opener of serial ports, and only a main chooses one",
	},
	{
		from: []string{"agent/provision"},
		to:   []string{"agent/tpmvault/...", "agent/softvault"},
		why:  "provision declares the storage it needs, in types of attest/tpmprofile; a vault satisfies it unseen",
	},
}

// outside is a part of the world outside the program.
type outside string

const (
	clock       outside = "the clock"
	environment outside = "the environment"
	files       outside = "files"
	network     outside = "the network"
	programs    outside = "other programs"
)

// outsideRules says why each is confined.
var outsideRules = map[outside]string{
	clock:       "a judgement takes now as a value, or nobody can test or repeat it",
	environment: "a switch that no command line shows is a hidden one: only a main reads it",
	files:       "only a main decides which file: openers are listed in the law",
	network:     "only a main decides which socket: openers are listed in the law",
	programs:    "only a main decides what else runs",
}

// touches are the names of other packages that touch the outside. A type counts (net.Dialer): its methods dial.
var touches = map[outside]map[string][]string{
	clock:       {"time": {"Now", "Since", "Until"}},
	environment: {"os": {"Getenv", "LookupEnv", "Environ", "ExpandEnv"}, "syscall": {"Getenv", "Environ"}},
	files: {
		"os": {"Open", "OpenFile", "OpenRoot", "OpenInRoot", "Root", "Create", "CreateTemp", "MkdirTemp", "Mkdir", "MkdirAll", "ReadFile", "WriteFile",
			"ReadDir", "DirFS", "CopyFS", "Remove", "RemoveAll", "Rename", "Link", "Symlink", "Truncate", "Chmod", "Stat", "Lstat"},
		"path/filepath": {"Glob", "Walk", "WalkDir", "EvalSymlinks"},
		"syscall":       {"Open", "Openat"},
		xsys + "/unix":  {"Open", "Openat", "Openat2"},
		fsnotify:        {"NewWatcher", "NewBufferedWatcher", "Watcher"},
	},
	network: {
		"net": {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialUnix", "DialIP", "Dialer", "Listen", "ListenPacket", "ListenTCP", "ListenUDP", "ListenUnix",
			"ListenUnixgram", "ListenIP", "ListenMulticastUDP", "ListenConfig"},
		"net/http": {"Get", "Head", "Post", "PostForm", "Client", "Transport", "DefaultClient", "DefaultTransport", "ListenAndServe",
			"ListenAndServeTLS"},
		"crypto/tls":   {"Dial", "DialWithDialer", "Dialer", "Listen"},
		"syscall":      {"Socket", "Connect"},
		xsys + "/unix": {"Socket", "Connect"},
	},
	programs: {"os/exec": {"Command", "CommandContext", "Cmd"}, "os": {"StartProcess"}, "syscall": {"Exec", "ForkExec", "StartProcess"}},
}
