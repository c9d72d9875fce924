package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/verifier/store/sqlite"
)

// care is a command on the store of a state folder.
type care struct {
	state  string
	asJSON bool
}

func newStore() *cobra.Command {
	c := &cobra.Command{
		Use:   "store",
		Short: "Look after the store: check, stats, backup, restore, sweep, export, rotate",
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, errors.New("want check, stats, backup, restore, sweep, export or rotate; --help tells more"))
		},
	}
	c.AddCommand(newStoreCheck(), newStoreStats(), newStoreBackup(), newStoreRestore(), newStoreSweep(), newStoreExport(), newStoreRotate())
	return c
}

// command makes a command with the flags that all of them have.
func (s *care) command(c *cobra.Command, run func(*cobra.Command) error) *cobra.Command {
	c.Args = none
	c.RunE = func(c *cobra.Command, _ []string) error { return storeFailure(run(c)) }
	c.Flags().StringVar(&s.state, "state", "", "`folder` of the server's state")
	c.Flags().BoolVar(&s.asJSON, "json", false, "print JSON")
	required(c, "state")
	return c
}

// storeFailure tells what the operator can set right from a failure of ours.
func storeFailure(err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	for _, kind := range []error{sqlite.ErrCorrupt, sqlite.ErrDisk, sqlite.ErrFull} {
		if errors.Is(err, kind) {
			return fail(exitFailed, err)
		}
	}
	return fail(exitUsage, err)
}

// reading opens the store beside a server that may write to it.
func (s *care) reading(ctx context.Context) (*sqlite.Store, error) {
	c, err := s.config()
	if err != nil {
		return nil, err
	}
	c.ReadOnly = true
	return sqlite.Open(ctx, c)
}

func (s *care) config() (sqlite.Config, error) {
	c, err := storeConfig(s.state)
	c.Program = programText(versionText()) + ", store"
	return c, err
}

// print shows a value as JSON, or else its text.
func (s *care) print(w io.Writer, value any, text string) error {
	if !s.asJSON {
		_, err := io.WriteString(w, text)
		return err
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func newStoreCheck() *cobra.Command {
	var s care
	return s.command(&cobra.Command{
		Use:   "check --state DIR [--json]",
		Short: "Look for damage in the store",
		Long: `Read the whole store and look for damage: of the file, of recorded decisions and Credentials that were altered, and of what must be
true of its content. The server may run meanwhile. The audit chain is for audit verify. The exit code is 0 only if nothing was found.`,
		Example: "  imei-verifier store check --state state/",
	}, s.check)
}

func (s *care) check(c *cobra.Command) error {
	problems, err := s.problems(c.Context())
	if err != nil {
		return err
	}
	text := "nothing found; imei-verifier audit verify follows the audit chain, which this does not\n"
	if len(problems) > 0 {
		text = strings.Join(problems, "\n") + "\nnot sound: stop the server, and put a backup in its place with imei-verifier store restore --from FILE\n"
	}
	err = s.print(c.OutOrStdout(), struct {
		Sound    bool     `json:"sound"`
		Problems []string `json:"problems"`
	}{len(problems) == 0, append([]string{}, problems...)}, text)
	if err == nil && len(problems) > 0 {
		err = fail(exitNo, nil)
	}
	return err
}

// problems are those of the store. That it is too damaged to be looked into is one of them.
func (s *care) problems(ctx context.Context) (problems []string, err error) {
	store, err := s.reading(ctx)
	if err == nil {
		problems, err = store.Check(ctx)
		err = errors.Join(err, store.Close())
	}
	switch {
	case errors.Is(err, sqlite.ErrNoStore):
		return append(problems, "the file is no store, or has lost its beginning"), nil
	case errors.Is(err, sqlite.ErrCorrupt):
		return append(problems, "the file is damaged"), nil
	}
	return problems, err
}

func newStoreStats() *cobra.Command {
	var s care
	return s.command(&cobra.Command{
		Use:     "stats --state DIR [--json]",
		Short:   "Count what the store holds",
		Long:    "Print rows, bytes and the oldest row of each table. The server may run meanwhile. The whole file is read.",
		Example: "  imei-verifier store stats --state state/",
	}, func(c *cobra.Command) error {
		store, err := s.reading(c.Context())
		if err != nil {
			return err
		}
		stats, err := store.Stats(c.Context())
		if err = errors.Join(err, store.Close()); err != nil {
			return err
		}
		if s.asJSON {
			return s.print(c.OutOrStdout(), stats, "")
		}
		return printStats(c.OutOrStdout(), stats)
	})
}

func printStats(w io.Writer, stats sqlite.Stats) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "table\trows\tbytes\tbytes a row\toldest")
	for _, table := range stats.Tables {
		oldest := "-"
		if !table.Oldest.IsZero() {
			oldest = table.Oldest.Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\n", table.Name, table.Rows, table.Bytes, table.Bytes/max(1, table.Rows), oldest)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d bytes in all; version %d; %d rows under a former key\n", stats.Bytes, stats.Version, stats.FormerKeys)
	return err
}

func newStoreBackup() *cobra.Command {
	var s care
	var out string
	c := s.command(&cobra.Command{
		Use:   "backup --state DIR --out FILE [--json]",
		Short: "Copy the store while the server runs",
		Long: `Write the store, as it is at one moment, to a new file. The server may run meanwhile. The keys of the state folder are not in
it: keep them elsewhere, because a backup is of no use without imei.key and subscriber.key, and tells whoever has them who was seen.`,
		Example: "  imei-verifier store backup --state state/ --out store-2026-11-30.db",
	}, func(c *cobra.Command) error {
		store, err := s.reading(c.Context())
		if err != nil {
			return err
		}
		if err = errors.Join(store.Backup(c.Context(), out), store.Close()); err != nil {
			return err
		}
		return s.print(c.OutOrStdout(), map[string]string{"backup": out}, "the backup is "+out+"\n")
	})
	c.Flags().StringVar(&out, "out", "", "`file` to write; it must not be there yet")
	required(c, "out")
	return c
}

func newStoreRestore() *cobra.Command {
	var s care
	var from string
	var force bool
	c := s.command(&cobra.Command{
		Use:   "restore --state DIR --from FILE [--force] [--json]",
		Short: "Put a backup in the place of the store",
		Long: `Check a backup and put it in the place of the store. The server must be stopped, and imei.key and subscriber.key must be those of
the backup. What happened since the backup is forgotten: devices that were first seen since show their Credential again, and
nonces that were minted until now are refused. A store that is there is kept under another name.`,
		Example: "  imei-verifier store restore --state state/ --from store-2026-11-30.db",
	}, func(c *cobra.Command) error {
		config, err := s.config()
		if err != nil {
			return err
		}
		err = sqlite.Restore(c.Context(), config, from, force, time.Now())
		if errors.Is(err, sqlite.ErrOccupied) {
			err = fmt.Errorf("%w, with --force", err)
		}
		if err != nil {
			return err
		}
		return s.print(c.OutOrStdout(), map[string]string{"restored": from}, "restored from "+from+"\n")
	})
	c.Flags().StringVar(&from, "from", "", "`file` that store backup wrote")
	c.Flags().BoolVar(&force, "force", false, "replace the store that is there")
	required(c, "from")
	return c
}

func newStoreSweep() *cobra.Command {
	var s care
	var keep sqlite.Retention
	c := s.command(&cobra.Command{
		Use:   "sweep --state DIR [--records TIME] [--subscribers TIME] [--audit TIME] [--json]",
		Short: "Remove what was kept long enough",
		Long: `Remove used nonces that expired, recorded decisions, pseudonyms of subscribers, and entries of the audit chain up to a signed
checkpoint, once they are older than they are kept. The server must be stopped. What devices last proved, and whose an IMEI is, stays.`,
		Example: "  imei-verifier store sweep --state state/ --subscribers 4392h",
	}, func(c *cobra.Command) error {
		if err := longEnough(keep); err != nil {
			return err
		}
		config, err := s.config()
		if err != nil {
			return err
		}
		if _, err := os.Stat(config.Path); err != nil {
			return fmt.Errorf("the store: %w", err) // and do not make one
		}
		config.Keep = keep
		store, err := sqlite.Open(c.Context(), config)
		if err != nil {
			return err
		}
		done, err := store.Sweep(c.Context(), time.Now())
		if err = errors.Join(err, store.Close()); err != nil {
			return err
		}
		return s.print(c.OutOrStdout(), done, fmt.Sprintf("removed: nonces %d, decisions %d, days %d, earlier answers %d, claims %d, views %d, sightings %d, audit entries %d\n",
			done.Nonces, done.Records, done.Days, done.Priors, done.Claims, done.Views, done.Sightings, done.Audit))
	})
	c.Flags().DurationVar(&keep.Records, "records", sqlite.DefaultKeepRecords, "how `long` recorded decisions are kept")
	c.Flags().DurationVar(&keep.Subscribers, "subscribers", sqlite.DefaultKeepSubscribers, "how `long` pseudonyms of subscribers are kept")
	c.Flags().DurationVar(&keep.Audit, "audit", sqlite.DefaultKeepAudit, "how `long` entries of the audit chain are kept")
	return c
}

// longEnough refuses what the store would keep longer than it was told.
func longEnough(keep sqlite.Retention) error {
	for _, of := range []struct {
		flag string
		long time.Duration
	}{{"records", keep.Records}, {"subscribers", keep.Subscribers}, {"audit", keep.Audit}} {
		if of.long < sqlite.LeastKeep {
			return fmt.Errorf("--%s: %s is less than %.0fh, the least: re-registrations rest on what is kept", of.flag, of.long, sqlite.LeastKeep.Hours())
		}
	}
	return nil
}

func newStoreExport() *cobra.Command {
	var state, since string
	c := &cobra.Command{
		Use:   "export --state DIR [--since TIME]",
		Short: "Export decisions without identities",
		Long: `Print recorded decisions, one JSON object a line, the oldest first: hour, TAC, status, reasons, action and front. There is no pseudonym
in them. The server may run meanwhile.`,
		Example: "  imei-verifier store export --state state/ --since 2026-11-01T00:00:00Z >november.jsonl",
		Args:    none,
		RunE: func(c *cobra.Command, _ []string) error {
			from, err := parseTime(since)
			if err != nil {
				return err
			}
			return storeFailure(export(c, &care{state: state}, from))
		},
	}
	c.Flags().StringVar(&state, "state", "", "`folder` of the server's state")
	c.Flags().StringVar(&since, "since", "", "`time` of the first, such as 2026-11-22T08:00:00Z (default: all that are kept)")
	required(c, "state")
	return c
}

func export(c *cobra.Command, s *care, since time.Time) error {
	store, err := s.reading(c.Context())
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(c.OutOrStdout())
	var failed error
	err = store.Export(c.Context(), since, func(e sqlite.Exported) bool {
		failed = encoder.Encode(e)
		return failed == nil
	})
	return errors.Join(err, failed, store.Close())
}

func newStoreRotate() *cobra.Command {
	var s care
	var which string
	var finish bool
	c := s.command(&cobra.Command{
		Use:   "rotate --state DIR --key imei|subscriber [--finish] [--json]",
		Short: "Exchange a key of pseudonyms",
		Long: `Make a new key and keep the one until now as the former. After the next start of the server, devices or subscribers that are
seen get names under the new key, and those that are not yet seen are found under the former. With --finish, remove the former key:
refused while rows are under it.`,
		Example: "  imei-verifier store rotate --state state/ --key subscriber",
	}, func(c *cobra.Command) error {
		text, err := s.rotate(c.Context(), which, finish)
		if err != nil {
			return err
		}
		return s.print(c.OutOrStdout(), map[string]string{"key": which, "done": text}, text+"\n")
	})
	c.Flags().StringVar(&which, "key", "", "`imei or subscriber`")
	c.Flags().BoolVar(&finish, "finish", false, "remove the former key")
	required(c, "key")
	return c
}

func (s *care) rotate(ctx context.Context, which string, finish bool) (done string, err error) {
	names := map[string]string{"imei": deviceKeyFile, "subscriber": subscriberKeyFile}
	if names[which] == "" {
		return "", fail(exitUsage, errors.New("--key: want imei or subscriber"))
	}
	path := filepath.Join(s.state, names[which])
	keys, err := readStoreKeys(path)
	if err != nil {
		return "", err
	}
	if !finish {
		if keys, err = beginRotation(keys); err != nil {
			return "", err
		}
		return "the new key is in force once the server is started anew", writeStoreKeys(path, keys)
	}
	if keys.Former == nil {
		return "", errors.New("there is no former key")
	}
	if err := s.needsFormer(ctx); err != nil {
		return "", err
	}
	keys.Former = nil
	return "the former key is removed", writeStoreKeys(path, keys)
}

// needsFormer refuses while rows are under a former key.
func (s *care) needsFormer(ctx context.Context) error {
	store, err := s.reading(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	stats, err := store.Stats(ctx)
	if err = errors.Join(err, store.Close()); err == nil && stats.FormerKeys > 0 {
		err = fmt.Errorf("%d rows are under a former key: without it their devices would be forgotten; wait until they are seen, or swept", stats.FormerKeys)
	}
	return err
}
