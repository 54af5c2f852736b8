/*
 * A whole C host of libsealpost.so: what an MTA does around one delivery, without the SMTP.
 *
 *   cc -std=c11 -I ../include host.c -o host -ldl
 *   ./host /usr/lib/libsealpost.so socket=/run/sealpost/plugin.sock example.org mx1.example.org
 *
 * It asks about the domain, forks as Exim does for a delivery, and asks in the child about the MX
 * host and tells how a session with it went.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sealpost.h"

static sealpost_str text(const char *string)
{
    sealpost_str lent = {string, strlen(string)};
    return lent;
}

static const char *level_name(uint32_t level)
{
    switch (level) {
    case SEALPOST_LEVEL_MAY: return "may";
    case SEALPOST_LEVEL_ENCRYPT: return "encrypt";
    case SEALPOST_LEVEL_VERIFY: return "verify";
    case SEALPOST_LEVEL_DANE: return "dane";
    case SEALPOST_LEVEL_REFUSE_MX: return "refuse";
    default: return "defer"; /* a level this host does not know is one it cannot obey */
    }
}

/* Asks, prints, and copies the policy's token, which is wanted again for the session. */
static uint32_t ask(const sealpost_api *api, sealpost_plugin *plugin, const char *domain,
                    const char *mx, char *token, size_t token_size)
{
    sealpost_query query = {0};
    query.struct_size = sizeof query;
    query.domain = text(domain);
    if (mx)
        query.mx = text(mx);

    sealpost_policy *policy = NULL;
    sealpost_policy_view view = {0};
    view.struct_size = sizeof view;
    int32_t code = api->policy(plugin, &query, &policy, &view);
    if (code != SEALPOST_OK) {
        printf("policy failed with code %d: nothing is delivered\n", (int)code);
        return SEALPOST_LEVEL_DEFER;
    }

    printf("%s%s%s: %s%s, because: %.*s\n", domain, mx ? " through " : "", mx ? mx : "",
           level_name(view.level), view.audit ? " (audit)" : "", (int)view.reason.len,
           view.reason.len ? view.reason.ptr : "");
    for (size_t i = 0; i < view.mx_pattern_count; i++)
        printf("  an MX host must match %.*s\n", (int)view.mx_patterns[i].len,
               view.mx_patterns[i].ptr);

    token[0] = '\0';
    if (view.policy.len > 0 && view.policy.len < token_size) {
        memcpy(token, view.policy.ptr, view.policy.len);
        token[view.policy.len] = '\0';
    }
    uint32_t level = view.level;
    api->policy_free(plugin, policy);
    return level;
}

/* Do the certificates that the server showed, its own first, match the TLSA records? For hosts
 * whose TLS library does no DANE. Anything but SEALPOST_VERDICT_PASSED means: no. */
static uint32_t judge(const sealpost_api *api, sealpost_plugin *plugin, const char *domain,
                   const char *mx, const char *token, const sealpost_str *chain, size_t count)
{
    char reason[256] = "";
    sealpost_presented presented = {0};
    presented.struct_size = sizeof presented;
    presented.domain = text(domain);
    presented.mx = text(mx);
    presented.policy = text(token);
    presented.chain_der = chain;
    presented.chain_count = count;
    sealpost_verdict verdict = {0};
    verdict.struct_size = sizeof verdict;
    verdict.reason = reason;
    verdict.reason_size = sizeof reason;
    int32_t code = api->verify(plugin, &presented, &verdict);
    if (code != SEALPOST_OK)
        verdict.verdict = SEALPOST_VERDICT_UNKNOWN;
    printf("  DANE: %s, because: %s\n",
           verdict.verdict == SEALPOST_VERDICT_PASSED ? "passed" : "not passed", reason);
    return verdict.verdict;
}

static int deliver(const sealpost_api *api, sealpost_plugin *plugin, const char *domain,
                   const char *mx)
{
    char token[128];
    uint32_t level = ask(api, plugin, domain, mx, token, sizeof token);
    if (level == SEALPOST_LEVEL_REFUSE_MX || level == SEALPOST_LEVEL_DEFER)
        return 0; /* the next MX host, or later; there was no session to tell of */

    /* Here the host connects, finds that TLS went well, and has the server's certificates. */
    sealpost_str chain[] = {text("the server's certificate, DER")};
    sealpost_session session = {0};
    session.struct_size = sizeof session;
    if (level == SEALPOST_LEVEL_DANE) {
        /* The daemon sorts out how it went; `chain_der`, not NULL, says that there is no more. */
        uint32_t verdict = judge(api, plugin, domain, mx, token, chain, 1);
        session.outcome = SEALPOST_OUTCOME_FACTS;
        session.starttls = SEALPOST_STARTTLS_ESTABLISHED;
        session.dane = verdict == SEALPOST_VERDICT_PASSED   ? SEALPOST_VERIFICATION_PASSED
                       : verdict == SEALPOST_VERDICT_FAILED ? SEALPOST_VERIFICATION_FAILED
                                                            : SEALPOST_VERIFICATION_UNKNOWN;
        session.leaf_der = chain[0];
        session.chain_der = chain + 1;
        session.chain_count = 0;
        if (verdict != SEALPOST_VERDICT_PASSED)
            printf("  nothing is delivered through %s\n", mx);
    } else
        session.outcome = SEALPOST_OUTCOME_SUCCESS;
    session.domain = text(domain);
    session.policy = text(token);
    session.mx = text(mx);
    session.receiving_ip = text("192.0.2.25");
    int32_t code = api->session(plugin, &session);
    printf("session told: code %d\n", (int)code);
    return code == SEALPOST_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: host LIBRARY CONFIG DOMAIN MX\n");
        return 64;
    }
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 69;
    }
    sealpost_plugin_entry_fn entry = NULL;
    /* The form that POSIX gives for a function out of dlsym(). */
    *(void **)(&entry) = dlsym(library, "sealpost_plugin_entry_v1");
    const sealpost_api *api = entry ? entry(SEALPOST_ABI_MAJOR, SEALPOST_ABI_MINOR) : NULL;
    if (!api || api->struct_size < sizeof *api) {
        fprintf(stderr, "%s does not speak version 1 of the interface\n", argv[1]);
        return 69;
    }

    char error[256] = "";
    sealpost_host host = {0};
    host.struct_size = sizeof host;
    host.abi_major = SEALPOST_ABI_MAJOR;
    host.abi_minor = SEALPOST_ABI_MINOR;
    host.config = text(argv[2]);
    host.error = error;
    host.error_size = sizeof error;
    sealpost_plugin *plugin = NULL;
    if (api->open(&host, &plugin) != SEALPOST_OK) {
        fprintf(stderr, "%s\n", error);
        return 78;
    }

    char token[128];
    int failed = 0;
    if (ask(api, plugin, argv[3], NULL, token, sizeof token) != SEALPOST_LEVEL_DEFER) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            api->forked(plugin);
            failed = deliver(api, plugin, argv[3], argv[4]);
            fflush(stdout);
            _exit(failed);
        }
        int status = 0;
        failed = child < 0 || waitpid(child, &status, 0) != child || status != 0;
    }
    api->close(plugin);
    return failed;
}
