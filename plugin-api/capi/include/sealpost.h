/*
 * sealpost.h: the C interface of libsealpost.so, version 1.1.
 *
 * libsealpost.so lets a mail transfer agent ask the Sealpost daemon two things: before a delivery,
 * what TLS the recipient domain demands (MTA-STS, RFC 8461; DANE, RFC 7672); after each TLS session, that the
 * daemon count how it went, for the recipient domain's report (RFC 8460). The library itself
 * decides nothing and keeps nothing. It is a client of the daemon's plugin socket
 * (docs/plugin-socket.md), starts no thread, holds no lock, installs no signal handler, raises no
 * SIGPIPE, and works on both sides of a fork().
 *
 * How to use it:
 *
 *   1. dlopen() the library (or link it) and find `sealpost_plugin_entry_v1`.
 *   2. Call it with SEALPOST_ABI_MAJOR and SEALPOST_ABI_MINOR. NULL means: this library does not
 *      speak your version. Otherwise you have a constant table of functions.
 *   3. Call `open` once in each process. It connects to nothing; the first question does.
 *   4. Call `policy` before the MX lookup, with the domain alone, and again for each MX host just
 *      before you connect to it. Obey the level. Release each answer with `policy_free`.
 *   5. Where the level is DANE and your TLS library does no DANE, call `verify` with the certificates
 *      that the server showed, and deliver only when it passes.
 *   6. Call `session` once for each connection on which TLS was tried or could have been.
 *   7. Call `close` at the end.
 *
 * Every structure begins with `struct_size`, which the host sets to sizeof the structure. Later
 * versions of this header only append members; the library reads and writes no further than the
 * host's struct_size, so a host compiled with 1.0 works unchanged. Set every structure to zero before filling it in,
 * so that members you do not know of mean "absent".
 *
 * Codes and enumerators below keep their numbers for ever. New ones may be added: treat a code you
 * do not know as a failure and a level you do not know as SEALPOST_LEVEL_DEFER.
 */
#ifndef SEALPOST_H
#define SEALPOST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Another major version is another interface: the entry function refuses it. */
#define SEALPOST_ABI_MAJOR 1u
/* A higher minor version has appended something to a structure or added a code. */
#define SEALPOST_ABI_MINOR 1u

/*
 * A string, or other bytes, that is only lent: it is not terminated by NUL, and the side that reads
 * it copies what it wants to keep. {NULL, 0} means "absent". A NULL pointer with a length other
 * than zero is an error.
 */
typedef struct sealpost_str {
    const char *ptr;
    size_t len;
} sealpost_str;

/* What `open` gives. It may be used from several threads at once. */
typedef struct sealpost_plugin sealpost_plugin;

/* Owns the memory behind one answer. Released by `policy_free` and nothing else. */
typedef struct sealpost_policy sealpost_policy;

/* What the functions return. After anything but SEALPOST_OK no output was touched, except the
 * error text of `open`. */
enum {
    /* Done. */
    SEALPOST_OK = 0,
    /* A pointer that must be given is NULL or not aligned, or a string is {NULL, length}. */
    SEALPOST_E_POINTER = 1,
    /* A struct_size is smaller than the structure was when it first appeared. */
    SEALPOST_E_SIZE = 2,
    /* The abi_major in sealpost_host is not one this library speaks. */
    SEALPOST_E_VERSION = 3,
    /* A value is not allowed: no domain, a name over 1024 bytes, a number that is no enumerator;
     * or the daemon answered that it does not understand the session. */
    SEALPOST_E_ARGUMENT = 4,
    /* The config text given to `open` is wrong; the error text says where. */
    SEALPOST_E_CONFIG = 5,
    /* The session could not be handed to the daemon and is not counted. Deliver as if it had been:
     * recording never holds mail up. */
    SEALPOST_E_UNSENT = 6,
    /* A defect of this library, caught at its border. From `policy`: defer the mail. */
    SEALPOST_E_INTERNAL = 7
};

/* What the MTA must do for the domain, or for the one MX host that was asked about. */
enum {
    /* Opportunistic: TLS if the server offers it, else in the clear. */
    SEALPOST_LEVEL_MAY = 0,
    /* TLS or no delivery; the certificate does not matter. With DANE: there are TLSA records, and
     * none that can be used. */
    SEALPOST_LEVEL_ENCRYPT = 1,
    /* TLS with a certificate that chains to a trusted root and carries the MX host's name, on an
     * MX host that matches one of mx_patterns; or no delivery. */
    SEALPOST_LEVEL_VERIFY = 2,
    /* TLS with a certificate that matches one of the TLSA records; or no delivery. `verify` says
     * whether one does. For a domain as a whole there are no records in the answer: DANE decides on
     * at least one of its MX hosts, so ask about each. A host that can neither check nor ask treats
     * this level as SEALPOST_LEVEL_DEFER. */
    SEALPOST_LEVEL_DANE = 3,
    /* The domain's policy excludes this MX host: go on to the next one. The daemon has already
     * counted this failure, so do not call `session` for it. */
    SEALPOST_LEVEL_REFUSE_MX = 4,
    /* Deliver nothing to this domain now; try again later. */
    SEALPOST_LEVEL_DEFER = 5
};

/* Who made an answer. */
enum {
    /* The daemon. */
    SEALPOST_ANSWERED_BY_DAEMON = 0,
    /* This library, because the daemon could not be asked: `unreachable` of the config says what it
     * answers, and the reason says why. */
    SEALPOST_ANSWERED_BY_LIBRARY = 1
};

/* What `verify` says. */
enum {
    /* Nothing can be said: the daemon could not be asked, it does not remember the answer, or there
     * is no certificate. Treat it as SEALPOST_VERDICT_FAILED; so too a number you do not know. */
    SEALPOST_VERDICT_UNKNOWN = 0,
    /* The chain satisfies the answer, or the answer demands nothing of a certificate. */
    SEALPOST_VERDICT_PASSED = 1,
    /* It does not: deliver nothing to this MX host. */
    SEALPOST_VERDICT_FAILED = 2
};

/* Which members of sealpost_session say how it went. */
enum {
    /* starttls, verification, dane, leaf_der, chain_der and text are what the MTA saw; the daemon classifies. */
    SEALPOST_OUTCOME_FACTS = 0,
    /* A TLS connection that satisfies the policy was negotiated, whatever SMTP said later. */
    SEALPOST_OUTCOME_SUCCESS = 1,
    /* It failed, and `result` says how in the words of RFC 8460. */
    SEALPOST_OUTCOME_FAILURE = 2
};

/* The result types of RFC 8460 section 4.3. */
enum {
    SEALPOST_RESULT_NONE = 0,
    SEALPOST_RESULT_STARTTLS_NOT_SUPPORTED = 1,
    SEALPOST_RESULT_CERTIFICATE_HOST_MISMATCH = 2,
    SEALPOST_RESULT_CERTIFICATE_EXPIRED = 3,
    SEALPOST_RESULT_CERTIFICATE_NOT_TRUSTED = 4,
    SEALPOST_RESULT_VALIDATION_FAILURE = 5,
    SEALPOST_RESULT_TLSA_INVALID = 6,
    SEALPOST_RESULT_DNSSEC_INVALID = 7,
    SEALPOST_RESULT_DANE_REQUIRED = 8,
    SEALPOST_RESULT_STS_POLICY_FETCH_ERROR = 9,
    SEALPOST_RESULT_STS_POLICY_INVALID = 10,
    SEALPOST_RESULT_STS_WEBPKI_INVALID = 11
};

/* How far STARTTLS went. */
enum {
    /* The MTA did not see. It is then told from the text, or the session is not counted. */
    SEALPOST_STARTTLS_UNKNOWN = 0,
    /* The EHLO reply did not list it. */
    SEALPOST_STARTTLS_NOT_OFFERED = 1,
    /* It was listed, and the command was answered with 4xx or 5xx. */
    SEALPOST_STARTTLS_REFUSED = 2,
    /* The handshake began and failed. */
    SEALPOST_STARTTLS_HANDSHAKE_FAILED = 3,
    /* TLS was up. */
    SEALPOST_STARTTLS_ESTABLISHED = 4
};

/* What the MTA's own check of the server's certificate said. */
enum {
    /* It was not checked, or the MTA does not know. */
    SEALPOST_VERIFICATION_UNKNOWN = 0,
    /* Trusted, in date, and for the MX host's name. */
    SEALPOST_VERIFICATION_PASSED = 1,
    /* Not so. */
    SEALPOST_VERIFICATION_FAILED = 2
};

/* What a host says of itself to `open`. */
typedef struct sealpost_host {
    uint32_t struct_size;
    /* SEALPOST_ABI_MAJOR and SEALPOST_ABI_MINOR of the header the host was compiled with. */
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved; /* zero */
    /*
     * Settings, `key=value` joined by `;`. Absent or empty: all defaults. A key that is unknown or
     * given twice is an error.
     *   socket=/run/sealpost/plugin.sock   where the daemon listens; an absolute path
     *   unreachable=defer                  what `policy` answers when the daemon cannot be asked:
     *                                      defer, or may
     *   deadline-ms=20000                  how long `policy` may take at most, 1 to 600000
     *   session-deadline-ms=2000           how long `session` may take at most, 1 to 600000
     */
    sealpost_str config;
    /* Where a failing `open` writes one line of text that says why, cut to size and ended by NUL.
     * May be NULL. */
    char *error;
    size_t error_size;
} sealpost_host;

/* A question. */
typedef struct sealpost_query {
    uint32_t struct_size;
    /* How long the host is ready to wait; 0 means deadline-ms of the config, which is also the
     * most that is granted. */
    uint32_t deadline_ms;
    /* The recipient domain as addressed, or the smart host's domain where mail goes through one. */
    sealpost_str domain;
    /* The MX host about to be connected to, as the MX record names it; absent before the MX
     * lookup. */
    sealpost_str mx;
    /* Since 1.1: the port that will be connected to, 0 for that of mail hosts (25). TLSA records
     * belong to a port. */
    uint32_t port;
    uint32_t reserved; /* zero */
} sealpost_query;

/* One TLSA record (RFC 6698 section 2.1). */
typedef struct sealpost_tlsa {
    uint32_t usage;
    uint32_t selector;
    uint32_t matching;
    uint32_t reserved;
    sealpost_str data; /* the certificate association data, binary */
} sealpost_tlsa;

/* An answer. The host sets struct_size; `policy` fills in the rest of what fits. Everything that is pointed to
 * lives until `policy_free`. */
typedef struct sealpost_policy_view {
    uint32_t struct_size;
    uint32_t level;       /* SEALPOST_LEVEL_* */
    uint32_t audit;       /* 1: verify without enforcing, and tell `session` what was seen */
    uint32_t answered_by; /* SEALPOST_ANSWERED_BY_* */
    /* With SEALPOST_LEVEL_VERIFY: the patterns that MX hosts must match, `*.` at the front of some. */
    const sealpost_str *mx_patterns;
    size_t mx_pattern_count;
    /* With SEALPOST_LEVEL_DANE, about an MX host: the records, one of which the certificate must
     * match. */
    const sealpost_tlsa *tlsa;
    size_t tlsa_count;
    /* The name to send as SNI and to look for in the certificate; absent when the question named no
     * MX host. With SEALPOST_LEVEL_DANE: the TLSA base domain. */
    sealpost_str name;
    /* Which exact policy this answer was made from. Hand it back in sealpost_session.policy. */
    sealpost_str policy;
    /* One line for the log or the deferral: why this level. Printable ASCII. */
    sealpost_str reason;
    /* Since 1.1. With SEALPOST_LEVEL_DANE: the names of which a certificate below a record of usage
     * 2 must carry one, the base domain first. A record of usage 3 asks for none. */
    const sealpost_str *names;
    size_t name_count;
} sealpost_policy_view;

/* What a server showed in one TLS handshake. Since 1.1. */
typedef struct sealpost_presented {
    uint32_t struct_size;
    /* How long the host is ready to wait; 0 means deadline-ms of the config, which is also the
     * most that is granted. The daemon answers at once as a rule. */
    uint32_t deadline_ms;
    sealpost_str domain; /* the domain that `policy` was asked about */
    sealpost_str mx;     /* the MX host, as the MX record names it */
    sealpost_str policy; /* sealpost_policy_view.policy of the answer about this MX host */
    /* The certificates, DER, the server's own first, in the order in which it sent them. Of more than
     * 16, or of more than 48 kB together, the first are judged: what they satisfy all do, and where
     * they satisfy nothing it is SEALPOST_VERDICT_UNKNOWN. None may be empty (SEALPOST_E_ARGUMENT):
     * the next would be taken for the server's own. */
    const sealpost_str *chain_der;
    size_t chain_count;
} sealpost_presented;

/* What that is worth. The host sets struct_size and the buffer; `verify` fills in the rest. Since
 * 1.1. */
typedef struct sealpost_verdict {
    uint32_t struct_size;
    uint32_t verdict; /* SEALPOST_VERDICT_* */
    uint32_t result;  /* SEALPOST_RESULT_*: with SEALPOST_VERDICT_FAILED, as the report will say it */
    uint32_t reserved;
    /* Where one line of printable ASCII is written, cut to size and ended by NUL: which record
     * matched, the report's reason code, or why nothing is known. May be NULL. */
    char *reason;
    size_t reason_size;
} sealpost_verdict;

/*
 * One TLS session, or one attempt at it. Call `session` once for each connection: not for each
 * message, not again for a message on a connection that was kept open, and not for a connection
 * that failed before the EHLO reply (refused, timed out, a 4xx greeting), which is no TLS failure.
 * Not for a connection that carried a report (its sender's mail with "TLS-Required: No"; RFC 8460
 * s5.3): such mail is sent without asking, and each report told would be reported in its turn.
 * All but the domain may be left out; what is left out is not invented.
 */
typedef struct sealpost_session {
    uint32_t struct_size;
    uint32_t outcome;      /* SEALPOST_OUTCOME_* */
    uint32_t result;       /* SEALPOST_RESULT_*: read with SEALPOST_OUTCOME_FAILURE */
    uint32_t starttls;     /* SEALPOST_STARTTLS_*: read with SEALPOST_OUTCOME_FACTS */
    uint32_t verification; /* SEALPOST_VERIFICATION_*: read with SEALPOST_OUTCOME_FACTS */
    uint32_t reserved;     /* zero */
    int64_t at_unix_seconds;   /* when it ended; 0 means now */
    sealpost_str domain;       /* the domain that `policy` was asked about */
    sealpost_str policy;       /* sealpost_policy_view.policy of the answer it went by */
    sealpost_str mx;           /* the MX host, as the MX record names it */
    sealpost_str mx_helo;      /* what the server called itself */
    sealpost_str receiving_ip; /* the address connected to, as text */
    sealpost_str sending_ip;   /* our own address on that connection, as text */
    /* With FAILURE: a short code, or the TLS library's words. With FACTS: the error as the MTA or
     * its TLS library worded it. Cut at 4096 bytes. */
    sealpost_str text;
    /* With FACTS: the server's own certificate, DER. One over 32768 bytes is left out. */
    sealpost_str leaf_der;
    /* Since 1.1. With FACTS: the certificates that the server sent after its own, DER, in their
     * order. NULL means not known; not NULL with a count of 0, that it sent no others. More than 15,
     * more than fit into a line of the plugin socket (some 30 kB), or any with an empty one among them
     * are left out: they are then not known. Where TLSA records name an authority the session is judged
     * by them, or by `dane`. */
    const sealpost_str *chain_der;
    size_t chain_count;
    /* Since 1.1. With FACTS: SEALPOST_VERIFICATION_*, what the MTA's own DANE check, or `verify`,
     * said of the certificate; UNKNOWN where the level was not DANE. */
    uint32_t dane;
    uint32_t reserved_2; /* zero */
} sealpost_session;

/* The functions. No pointer in this table is NULL. */
typedef struct sealpost_api {
    uint32_t struct_size; /* sizeof this structure in the library: members past it do not exist */
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved;

    /* Reads the config and makes a plugin. Opens no connection, so it works while the daemon is
     * down, and before the host forks or drops its privileges. */
    int32_t (*open)(const sealpost_host *host, sealpost_plugin **plugin);

    /*
     * Asks what TLS is demanded. Returns within the deadline. When the daemon is down, silent or
     * busy this still returns SEALPOST_OK, with the level that the config's `unreachable` names: an
     * unanswerable question is an answer, because a host that gets an error from a plugin tends to
     * deliver in the clear. On any other code the host must not deliver.
     */
    int32_t (*policy)(sealpost_plugin *plugin, const sealpost_query *query,
                      sealpost_policy **policy, sealpost_policy_view *view);

    /* Releases one answer and all that its view points to. NULL is allowed. */
    void (*policy_free)(sealpost_plugin *plugin, sealpost_policy *policy);

    /* Tells how one session went. Returns within session-deadline-ms, at once as a rule. */
    int32_t (*session)(sealpost_plugin *plugin, const sealpost_session *session);

    /* May be called in the child after fork(): lets go of the connection that belongs to the
     * parent. Without it the next call notices by the process id. */
    int32_t (*forked)(sealpost_plugin *plugin);

    /* Ends it all. Answers not yet released stay valid until their `policy_free`, which may then be
     * given a NULL plugin. NULL is allowed. */
    void (*close)(sealpost_plugin *plugin);

    /*
     * Since 1.1. Says whether the certificates that a server showed satisfy the answer about it:
     * one of the TLSA records (RFC 7672), or under SEALPOST_LEVEL_VERIFY a trusted root, the dates
     * and the MX host's name. Call it during the handshake or after it, before the message is handed
     * over. It counts nothing: tell `session` what was seen. Returns SEALPOST_OK also when the daemon
     * cannot be asked: the verdict is then UNKNOWN, whatever the config's `unreachable` says. On any
     * other code the verdict was not touched, and the host must not deliver.
     */
    int32_t (*verify)(sealpost_plugin *plugin, const sealpost_presented *presented,
                      sealpost_verdict *verdict);
} sealpost_api;

/*
 * The entry: give the version your header says. NULL when this library does not speak that major
 * version. The table is constant, never freed, and the same at every call.
 */
const sealpost_api *sealpost_plugin_entry_v1(uint32_t host_abi_major, uint32_t host_abi_minor);

/* The type of the entry, for dlsym(). */
typedef const sealpost_api *(*sealpost_plugin_entry_fn)(uint32_t, uint32_t);

/*
 * The same library as Exim loads it with ${dlfunc{/path/libsealpost.so}{NAME}{ARGUMENT}...}
 * (exim4-daemon-heavy; the light build has ${readsocket}). They return Exim's own codes: 0 OK, and
 * the expansion is what *yield points to; 1 DEFER, and the expansion fails with *yield as message,
 * which Exim writes to its panic log as well; 2 FAIL, and it fails without that.
 * They open a connection for each call and close it, so they keep nothing that Exim's forks could
 * disturb. *yield is NUL-terminated memory of the library and holds until the next call.
 *
 * The last argument of each may be SETTINGS: the path of the socket, or a config text as above.
 *
 * sealpost_exim_policy {DOMAIN} [{SETTINGS}]
 *     OK with the daemon's line, as ${readsocket} would give it (level TAB policy=... TAB ...), when
 *     the level is may, encrypt, verify or dane. FAIL with the reason as message when the level is
 *     defer. DEFER with the reason as message when the daemon is down or silent, or an argument is
 *     wrong. Call it in a router, in address_data: there a failed expansion, a missing library
 *     included, defers the mail. In hosts_require_tls it would deliver in the clear.
 *
 * sealpost_exim_mx {DOMAIN} {MX HOST} [{SETTINGS}]
 *     Always OK: an empty string when the host may be connected to, else the reason why not. As
 *     the result of event_action at tcp:connect a text that is not empty keeps Exim from connecting.
 *     A daemon that is down is such a reason too (unless SETTINGS say unreachable=may), because
 *     Exim goes on after an expansion that fails there.
 *
 *     A host on which DANE decides may be connected to: the transport must then hold it to that,
 *     by sealpost_exim_mx_level (docs/install/exim.md has the whole of it).
 *
 * sealpost_exim_mx_level {DOMAIN} {MX HOST} [{SETTINGS}]
 *     Always OK, with the daemon's line about this MX host, as ${readsocket} would give it: its
 *     first word is the level, ${extract{1}{\t}{LINE}} (may, encrypt, verify, dane, refuse or defer),
 *     and policy= is what sealpost_exim_session wants, ${extract{policy}{level=LINE}}. `defer` with
 *     a reason= also when the daemon is down or silent (unless SETTINGS say unreachable=may) or an
 *     argument is wrong. Ask once for each connection: each answer `refuse` is counted as a failed
 *     session, so do not call sealpost_exim_mx for the same connection too.
 *
 * sealpost_exim_session {DOMAIN} {FIELDS}...
 *     Each further argument is one field KEY=VALUE of a SESSION line, or several with TAB between
 *     them. An argument that begins with error=, reason= or helo= is that one field, whatever is in
 *     it: give $event_data as it is, without ${escape:}. SETTINGS come as an argument that begins
 *     with settings=. OK with an empty string when the daemon has taken the session; DEFER with the
 *     reason as message when not: in event_action Exim logs that and goes on with the delivery.
 */
int sealpost_exim_policy(unsigned char **yield, int argc, unsigned char **argv);
int sealpost_exim_mx(unsigned char **yield, int argc, unsigned char **argv);
int sealpost_exim_mx_level(unsigned char **yield, int argc, unsigned char **argv);
int sealpost_exim_session(unsigned char **yield, int argc, unsigned char **argv);

#ifdef __cplusplus
}
#endif

#endif
