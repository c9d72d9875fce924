package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest/tpmprofile"
)

var _ provision.Enroller = (*tpmvault.Factory)(nil)

var enrollBeginCommand = command{
	example: `  imei-provision enroll begin --anchor oem-anchor.yaml --vault tpm:/dev/tpmrm0 --imei 352099001761481 --model router-5g --out unit.request
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var (
			anchor anchorFlag
			tpm    tpmFlags
			unit   unitFlags
			pcrs   = flags.String("pcrs", defaultPCRs, "registers of the boot approval, `list`; \"\" means that the boot is not measured")
			ek     = flags.String("ek", "auto", "endorsement key: rsa, ecc, or auto: one that has a certificate, else ecc")
			out    = flags.String("out", "", "`FILE` for the request; must not exist")
		)
		anchor.declare(flags)
		tpm.declare(flags)
		unit.declare(flags)
		return func(ctx context.Context, stdout, stderr io.Writer) error {
			u, err := unit.unit()
			if err != nil {
				return err
			}
			kind, known := map[string]tpmvault.EKKind{"auto": 0, "rsa": tpmvault.EKRSA, "ecc": tpmvault.EKECC}[*ek]
			if !known {
				return usagef("--ek %q: want auto, rsa or ecc", *ek)
			}
			if err := checkNew(*out); err != nil {
				return err
			}
			storage := storageFlags{pcrs: *pcrs, nv: "owner", kind: "auto"}
			options, err := storage.options(stderr)
			if err != nil {
				return err
			}
			oem, err := anchor.load()
			if err != nil {
				return err
			}
			return tpm.with(ctx, func(_ *tpmdev.Conn, factory *tpmvault.Factory) error {
				return enrollBegin(ctx, stdout, factory, oem, u, options, kind, *out)
			})
		}
	},
}

func enrollBegin(ctx context.Context, stdout io.Writer, factory *tpmvault.Factory, oem *provision.OEM, u provision.Unit, options provision.Options,
	kind tpmvault.EKKind, out string,
) error {
	_, public, certificate, err := factory.EndorsementKey(ctx, kind)
	if err != nil {
		return err
	}
	r, err := provision.BeginEnrolment(ctx, factory, oem, u, options, public, certificate)
	if err != nil {
		return err
	}
	if err := keep(out, r); err != nil {
		return err
	}
	name, _, err := tpmprofile.CheckEndorsementKey(public)
	if err != nil {
		return err
	}
	showRequest(stdout, r)
	fmt.Fprintf(stdout, "ek name   %x\nek cert   %d bytes\nrequest   %s: bring it to imei-provision enroll challenge\n", name, len(certificate), out)
	return nil
}

var enrollChallengeCommand = command{
	example: `  imei-provision enroll challenge --anchor oem-anchor.yaml --request unit.request --imei 352099001761481 --model router-5g --ek-roots makers.pem --register enrolled --pending unit.pending --out unit.challenge
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var (
			anchor   anchorFlag
			unit     unitFlags
			request  = flags.String("request", "", "`FILE` that enroll begin wrote")
			names    = flags.String("ek-names", "", "list of trusted endorsement keys, `FILE` with a Name in hex on each line")
			roots    = flags.String("ek-roots", "", "certificates of TPM makers, PEM `FILE`: pinned roots, and those between")
			register = flags.String("register", "", "private `FILE` of which IMEI was enrolled on which TPM; made when absent")
			pending  = flags.String("pending", "", "`FILE` to keep until the answer comes; must not exist")
			out      = flags.String("out", "", "`FILE` for the challenge; must not exist")
		)
		anchor.declare(flags)
		unit.declare(flags)
		return func(_ context.Context, stdout, _ io.Writer) error {
			recorded, err := unit.unit()
			if err != nil {
				return err
			}
			if *names == "" && *roots == "" || *register == "" || *pending == "" {
				return usagef("--ek-names or --ek-roots, --register and --pending are needed")
			}
			for _, path := range []string{*out, *pending} {
				if err := checkNew(path); err != nil {
					return err
				}
			}
			oem, err := anchor.load()
			if err != nil {
				return err
			}
			r, err := decoded("--request", *request, provision.DecodeRequest)
			if err != nil {
				return err
			}
			trust, err := loadTrust(*names, *roots)
			if err != nil {
				return err
			}
			enrolled, err := provision.OpenRegister(*register)
			if err != nil {
				return usageError{fmt.Errorf("--register: %w", err)}
			}
			c, p, err := oem.Challenge(r, recorded, trust, enrolled, time.Now())
			if err != nil {
				return err
			}
			if err := keep(*pending, p); err != nil {
				return err
			}
			if err := keep(*out, c); err != nil {
				return err
			}
			showRequest(stdout, r)
			fmt.Fprintf(stdout, "trusted   endorsement key %x\nchallenge %s: bring it to the device; keep %s\n", p.EKName, *out, *pending)
			return nil
		}
	},
}

func loadTrust(names, roots string) (t provision.EKTrust, err error) {
	for _, source := range []struct {
		option, path string
		add          func([]byte) error
	}{{"--ek-names", names, (&t).AddNames}, {"--ek-roots", roots, (&t).AddCertificates}} {
		if source.path == "" {
			continue
		}
		text, err := readFile(source.option, source.path)
		if err != nil {
			return t, err
		}
		if err := source.add(text); err != nil {
			return t, usageError{fmt.Errorf("%s: %w", source.option, err)}
		}
	}
	return t, nil
}

var enrollAnswerCommand = command{
	example: `  imei-provision enroll answer --anchor oem-anchor.yaml --vault tpm:/dev/tpmrm0 --request unit.request --challenge unit.challenge --out unit.answer
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var (
			anchor    anchorFlag
			tpm       tpmFlags
			request   = flags.String("request", "", "`FILE` that enroll begin wrote")
			challenge = flags.String("challenge", "", "`FILE` that enroll challenge wrote")
			out       = flags.String("out", "", "`FILE` for the answer; must not exist")
		)
		anchor.declare(flags)
		tpm.declare(flags)
		return func(ctx context.Context, stdout, _ io.Writer) error {
			if err := checkNew(*out); err != nil {
				return err
			}
			oem, err := anchor.load()
			if err != nil {
				return err
			}
			r, err := decoded("--request", *request, provision.DecodeRequest)
			if err != nil {
				return err
			}
			c, err := decoded("--challenge", *challenge, provision.DecodeChallenge)
			if err != nil {
				return err
			}
			return tpm.with(ctx, func(_ *tpmdev.Conn, factory *tpmvault.Factory) error {
				a, err := provision.AnswerChallenge(ctx, factory, oem, r, c)
				if err != nil {
					return err
				}
				if err := keep(*out, a); err != nil {
					return err
				}
				fmt.Fprintf(stdout, "answer    %s: bring it to imei-provision enroll issue\n", *out)
				return nil
			})
		}
	},
}

var enrollIssueCommand = command{
	example: `  imei-provision enroll issue --oem /secure/oem --request unit.request --pending unit.pending --answer unit.answer --register enrolled --tpm-kind discrete --out unit.package
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var (
			keys     keyFlags
			request  = flags.String("request", "", "`FILE` that enroll begin wrote")
			pending  = flags.String("pending", "", "`FILE` that enroll challenge kept")
			answer   = flags.String("answer", "", "`FILE` that enroll answer wrote")
			kind     = flags.String("tpm-kind", "auto", "the kind that this device model has: discrete or firmware; auto claims firmware; an emulator is always tpm-emulated")
			register = flags.String("register", "", "private `FILE` of which IMEI was enrolled on which TPM")
			out      = flags.String("out", "", "`FILE` for the package; must not exist")
		)
		keys.declare(flags)
		return func(_ context.Context, stdout, stderr io.Writer) error {
			if err := checkNew(*out); err != nil {
				return err
			}
			vouched, err := parseKind(*kind)
			if err != nil {
				return err
			}
			r, err := decoded("--request", *request, provision.DecodeRequest)
			if err != nil {
				return err
			}
			p, err := decoded("--pending", *pending, provision.DecodePending)
			if err != nil {
				return err
			}
			a, err := decoded("--answer", *answer, provision.DecodeAnswer)
			if err != nil {
				return err
			}
			if *register == "" {
				return usagef("--register is missing")
			}
			enrolled, err := provision.OpenRegister(*register)
			if err != nil {
				return usageError{fmt.Errorf("--register: %w", err)}
			}
			oem, err := keys.load(stderr, provision.DutyCredential, provision.DutyNV)
			if err != nil {
				return err
			}
			pack, err := oem.Issue(r, p, a, vouched, enrolled, time.Now())
			if err != nil {
				return err
			}
			if err := keep(*out, pack); err != nil {
				return err
			}
			showRequest(stdout, r)
			fmt.Fprintf(stdout, "package   %s: bring it to the device, then imei-provision install\n", *out)
			return nil
		}
	},
}
