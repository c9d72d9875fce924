package main

import (
	"bytes"
	"crypto"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"imei-attest/agent/provision"
	"imei-attest/agent/softvault/privatefile"
)

// keyFlags name the manufacturer's private keys. A secret is never a flag itself: other users of the machine see the
// command line, and a shell keeps it.
type keyFlags struct{ oem, passphraseFile, pinFile string }

func (f *keyFlags) declare(flags *flag.FlagSet) {
	flags.StringVar(&f.oem, "oem", "", "`folder` of the manufacturer's keys, made by oem-key")
	f.declareSecrets(flags)
}

func (f *keyFlags) declareSecrets(flags *flag.FlagSet) {
	flags.StringVar(&f.passphraseFile, "passphrase-file", "", "private `file` whose first line opens the encrypted keys; without it the terminal asks")
	flags.StringVar(&f.pinFile, "pin-file", "", "private `file` whose first line is the PIN of the PKCS #11 token; without it the terminal asks")
}

// load opens the keys of some duties.
func (f *keyFlags) load(stderr io.Writer, duties ...provision.Duty) (*provision.OEM, error) {
	if f.oem == "" {
		return nil, usagef("--oem is missing")
	}
	var plain []string
	opener := provision.KeyOpener{Passphrase: f.passphrase, Token: f.token, Plain: func(path string) { plain = append(plain, path) }}
	oem, err := provision.OpenOEM(f.oem, opener, duties...)
	if err != nil {
		return nil, usageError{fmt.Errorf("--oem: %w", err)}
	}
	if len(plain) > 0 && !oem.Development {
		fmt.Fprintf(stderr, "WARNING: not encrypted: %q; whoever copies these keys can endorse any device. Encrypt them with openssl pkcs8 -topk8 -v2 aes-256-cbc\n", plain)
	}
	return oem, nil
}

func (f *keyFlags) passphrase(path string) ([]byte, error) {
	return secret(f.passphraseFile, "--passphrase-file", "Passphrase of "+path)
}

func (f *keyFlags) token(uri string) (crypto.Signer, error) {
	return openToken(uri, func() ([]byte, error) { return secret(f.pinFile, "--pin-file", "PIN for "+uri) })
}

// secret is the first line of a private file, or what is typed at the terminal.
func secret(path, option, prompt string) ([]byte, error) {
	if path == "" {
		return ask(option, prompt)
	}
	text, err := privatefile.ReadAnywhere(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
		return nil, fmt.Errorf("%s: the first line of %s is empty", option, path)
	}
	return line, nil
}

// ask reads a line at the terminal of this process without showing it, wherever stdin comes from.
func ask(option, prompt string) ([]byte, error) {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("there is no terminal to ask at; use %s", option)
	}
	defer terminal.Close()
	fmt.Fprintf(terminal, "%s: ", prompt)
	line, err := readHidden(int(terminal.Fd()))
	fmt.Fprintln(terminal)
	return line, err
}

// readHidden reads a line that is not shown. A signal ends it, and the terminal shows again what is typed.
func readHidden(terminal int) (line []byte, err error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return nil, err
	}
	interrupted, typed := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupted)
	var text []byte
	var failure error
	go func() {
		defer close(typed)
		text, failure = term.ReadPassword(terminal)
	}()
	select {
	case <-typed:
		return text, failure
	case <-interrupted:
		return nil, errors.Join(errors.New("interrupted"), term.Restore(terminal, before))
	}
}

// newPassphrase asks twice, because nobody sees what is typed.
func (f *keyFlags) newPassphrase() ([]byte, error) {
	if f.passphraseFile != "" {
		return secret(f.passphraseFile, "--passphrase-file", "")
	}
	first, err := ask("--passphrase-file", "Passphrase for the new keys")
	if err != nil {
		return nil, err
	}
	if len(first) == 0 {
		return nil, errors.New("the passphrase is empty")
	}
	again, err := ask("--passphrase-file", "The same again")
	if err == nil && !bytes.Equal(first, again) {
		err = errors.New("the two passphrases differ")
	}
	return first, err
}
