/*
 * A C host that does what a test tells it, a word at a time, and prints what came of it. Each
 * argument after the library and the config is one step; some wait for a line on standard input, so
 * that the test can change the world in between. SIGPIPE has its default, deadly disposition.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sealpost.h"

static const sealpost_api *api;
static sealpost_plugin *plugin;

static sealpost_str text(const char *string)
{
    sealpost_str lent = {string, strlen(string)};
    return lent;
}

static sealpost_query query_of(const char *domain, const char *mx)
{
    sealpost_query query = {0};
    query.struct_size = sizeof query;
    query.domain = text(domain);
    if (mx)
        query.mx = text(mx);
    return query;
}

static sealpost_session session_of(const char *domain)
{
    sealpost_session session = {0};
    session.struct_size = sizeof session;
    session.outcome = SEALPOST_OUTCOME_SUCCESS;
    session.domain = text(domain);
    return session;
}

static void ask(const char *domain, const char *mx)
{
    sealpost_query query = query_of(domain, mx);
    sealpost_policy *policy = NULL;
    sealpost_policy_view view = {0};
    view.struct_size = sizeof view;
    int code = api->policy(plugin, &query, &policy, &view);
    printf("policy %s code=%d level=%u by=%u audit=%u policy=%.*s name=%.*s", domain, code,
           view.level, view.answered_by, view.audit, (int)view.policy.len,
           view.policy.len ? view.policy.ptr : "", (int)view.name.len,
           view.name.len ? view.name.ptr : "");
    for (size_t i = 0; i < view.mx_pattern_count; i++)
        printf(" mx=%.*s", (int)view.mx_patterns[i].len, view.mx_patterns[i].ptr);
    for (size_t i = 0; i < view.tlsa_count; i++)
        printf(" tlsa=%u:%u:%u:%zu", view.tlsa[i].usage, view.tlsa[i].selector,
               view.tlsa[i].matching, view.tlsa[i].data.len);
    for (size_t i = 0; i < view.name_count; i++)
        printf(" names=%.*s", (int)view.names[i].len, view.names[i].ptr);
    printf(" reason=%.*s\n", (int)view.reason.len, view.reason.len ? view.reason.ptr : "");
    fflush(stdout);
    if (code == SEALPOST_OK)
        api->policy_free(plugin, policy);
}

static void tell(const char *domain)
{
    sealpost_session session = session_of(domain);
    printf("session %s code=%d\n", domain, (int)api->session(plugin, &session));
    fflush(stdout);
}

static void tell_facts(const char *domain)
{
    static const unsigned char der[] = {0x30, 0x82, 0x00, 0xff};
    sealpost_session session = session_of(domain);
    session.outcome = SEALPOST_OUTCOME_FACTS;
    session.starttls = SEALPOST_STARTTLS_ESTABLISHED;
    session.verification = SEALPOST_VERIFICATION_FAILED;
    session.policy = text("5f0c");
    session.mx = text("mx1.example.org");
    session.mx_helo = text("mx one");
    session.receiving_ip = text("192.0.2.25");
    session.sending_ip = text("2001:db8::25");
    session.at_unix_seconds = 1790000000;
    session.text = text("it\tfailed\n\\");
    session.leaf_der.ptr = (const char *)der;
    session.leaf_der.len = sizeof der;
    printf("facts %s code=%d\n", domain, (int)api->session(plugin, &session));
    fflush(stdout);
}

/* Two certificates that are none, one after the other; the server sent a leaf before them. */
static const sealpost_str further[] = {{"further", 7}, {"root", 4}};

static void tell_chain(const char *domain)
{
    sealpost_session session = session_of(domain);
    session.outcome = SEALPOST_OUTCOME_FACTS;
    session.starttls = SEALPOST_STARTTLS_ESTABLISHED;
    session.dane = SEALPOST_VERIFICATION_PASSED;
    session.leaf_der = text("leaf");
    session.chain_der = further;
    session.chain_count = 2;
    printf("chain %s code=%d\n", domain, (int)api->session(plugin, &session));
    session.chain_count = 0;
    printf("no chain %s code=%d\n", domain, (int)api->session(plugin, &session));
    fflush(stdout);
}

static void judge(const char *policy)
{
    sealpost_str chain[] = {text("leaf"), further[0], further[1]};
    char reason[32] = "";
    sealpost_presented presented = {0};
    presented.struct_size = sizeof presented;
    presented.domain = text("dane.example");
    presented.mx = text("mx1.example.org");
    presented.policy = text(policy);
    presented.chain_der = chain;
    presented.chain_count = 3;
    sealpost_verdict verdict = {0};
    verdict.struct_size = sizeof verdict;
    verdict.reason = reason;
    verdict.reason_size = sizeof reason;
    int code = api->verify(plugin, &presented, &verdict);
    printf("verify %s code=%d verdict=%u result=%u reason=%s\n", policy, code, verdict.verdict,
           verdict.result, reason);
    fflush(stdout);
}

/* A host that was compiled with version 1.0 of the header: shorter structures, of which nothing
 * behind the end is read or written. */
static void as_1_0(void)
{
    sealpost_query query = query_of("dane.example", "mx1.example.org");
    query.struct_size = offsetof(sealpost_query, port);
    query.port = 0xffffffff;
    sealpost_policy *policy = NULL;
    sealpost_policy_view view = {0};
    view.struct_size = offsetof(sealpost_policy_view, names);
    view.name_count = 77;
    int code = api->policy(plugin, &query, &policy, &view);
    printf("1.0 policy code=%d level=%u tlsa=%zu behind=%zu size=%u\n", code, view.level,
           view.tlsa_count, view.name_count,
           view.struct_size - (unsigned)offsetof(sealpost_policy_view, names));
    api->policy_free(plugin, policy);
    sealpost_session session = session_of("old.example");
    session.struct_size = offsetof(sealpost_session, chain_der);
    session.outcome = SEALPOST_OUTCOME_FACTS;
    session.leaf_der = text("leaf");
    session.chain_count = 77;
    session.dane = 99;
    printf("1.0 session code=%d\n", (int)api->session(plugin, &session));
    fflush(stdout);
}

static void expect(const char *what, int seen, int wanted)
{
    printf("%s %s: %d\n", seen == wanted ? "ok" : "WRONG", what, seen);
}

/* Everything a host can get wrong at this border. The plugin is open; no daemon is needed. */
static void misuse(void)
{
    sealpost_query query = query_of("example.org", NULL);
    sealpost_policy *policy = NULL;
    sealpost_policy_view view, untouched;
    memset(&view, 0x5a, sizeof view);
    view.struct_size = sizeof view;
    untouched = view;

    expect("policy without plugin", api->policy(NULL, &query, &policy, &view), 1);
    expect("policy without query", api->policy(plugin, NULL, &policy, &view), 1);
    expect("policy without place", api->policy(plugin, &query, NULL, &view), 1);
    expect("policy without view", api->policy(plugin, &query, &policy, NULL), 1);
    query.struct_size = offsetof(sealpost_query, port) - 1;
    expect("policy with short query", api->policy(plugin, &query, &policy, &view), 2);
    query.struct_size = sizeof query;
    view.struct_size = 4;
    expect("policy with short view", api->policy(plugin, &query, &policy, &view), 2);
    view.struct_size = sizeof view;
    query.domain.ptr = NULL;
    expect("policy with NULL and length", api->policy(plugin, &query, &policy, &view), 1);
    query.domain.len = 0;
    expect("policy without domain", api->policy(plugin, &query, &policy, &view), 4);
    query.domain = text("example.org");
    query.mx.len = 1;
    expect("policy with NULL mx", api->policy(plugin, &query, &policy, &view), 1);
    query.mx.ptr = "x";
    query.mx.len = (size_t)-1;
    expect("policy with endless mx", api->policy(plugin, &query, &policy, &view), 4);
    query.mx.len = 0;
    char *askew = (char *)&query + 1;
    expect("policy askew", api->policy(plugin, (sealpost_query *)(void *)askew, &policy, &view), 1);
    expect("nothing was touched",
           policy != NULL || memcmp(&view, &untouched, sizeof view) != 0, 0);

    sealpost_session session = session_of("example.org");
    expect("session without plugin", api->session(NULL, &session), 1);
    expect("session without session", api->session(plugin, NULL), 1);
    session.struct_size = 8;
    expect("session too short", api->session(plugin, &session), 2);
    session.struct_size = sizeof session;
    session.outcome = 99;
    expect("session with odd outcome", api->session(plugin, &session), 4);
    session.outcome = SEALPOST_OUTCOME_FAILURE;
    expect("session without result", api->session(plugin, &session), 4);
    session.outcome = SEALPOST_OUTCOME_FACTS;
    session.leaf_der.len = 5;
    expect("session with NULL certificate", api->session(plugin, &session), 1);

    session.leaf_der.len = 0;
    session.chain_count = 1;
    expect("session with NULL chain", api->session(plugin, &session), 1);
    session.chain_der = further;
    session.chain_count = (size_t)-1;
    expect("session with endless chain", api->session(plugin, &session), 4);
    session.chain_der = NULL;
    session.chain_count = 0;
    session.dane = 99;
    expect("session with odd dane", api->session(plugin, &session), 4);
    query.port = 65536;
    query.mx.len = 0;
    expect("policy with odd port", api->policy(plugin, &query, &policy, &view), 4);

    expect("forked without plugin", api->forked(NULL), 1);
    api->policy_free(plugin, NULL);
    api->policy_free(NULL, NULL);
    api->close(NULL);
}

static void misuse_verify(void)
{
    sealpost_presented presented = {0};
    sealpost_verdict verdict, untouched;
    char reason[8] = "before";
    memset(&verdict, 0x5a, sizeof verdict);
    verdict.struct_size = sizeof verdict;
    verdict.reason = reason;
    verdict.reason_size = sizeof reason;
    untouched = verdict;
    presented.struct_size = sizeof presented;
    expect("verify without domain", api->verify(plugin, &presented, &verdict), 4);
    presented.domain = text("example.org");
    expect("verify without mx", api->verify(plugin, &presented, &verdict), 4);
    presented.mx = text("mx1.example.org");
    expect("verify without plugin", api->verify(NULL, &presented, &verdict), 1);
    expect("verify without chain's place", api->verify(plugin, NULL, &verdict), 1);
    expect("verify without verdict", api->verify(plugin, &presented, NULL), 1);
    presented.struct_size = sizeof presented - 1;
    expect("verify with short question", api->verify(plugin, &presented, &verdict), 2);
    presented.struct_size = sizeof presented;
    verdict.struct_size = 8;
    expect("verify with short verdict", api->verify(plugin, &presented, &verdict), 2);
    verdict.struct_size = sizeof verdict;
    presented.chain_count = 2;
    expect("verify with NULL chain", api->verify(plugin, &presented, &verdict), 1);
    presented.chain_der = further;
    presented.chain_count = (size_t)-1;
    expect("verify with endless chain", api->verify(plugin, &presented, &verdict), 4);
    sealpost_str wrong = {NULL, 3};
    presented.chain_der = &wrong;
    presented.chain_count = 1;
    expect("verify with NULL certificate", api->verify(plugin, &presented, &verdict), 1);
    /* The next certificate must not be taken for the server's own. */
    sealpost_str gap[2] = {{NULL, 0}, further[0]};
    presented.chain_der = gap;
    presented.chain_count = 2;
    expect("verify with empty certificate", api->verify(plugin, &presented, &verdict), 4);
    presented.chain_count = 1;
    expect("verify touched nothing",
           memcmp(&verdict, &untouched, sizeof verdict) != 0 || strcmp(reason, "before") != 0, 0);
    presented.chain_der = further;
    expect("verify of what nobody was asked about", api->verify(plugin, &presented, &verdict), 0);
    expect("vouches for nothing", (int)verdict.verdict, 0);
    expect("says why, cut to size", (int)strlen(reason), 7);
    verdict.reason = NULL;
    expect("verify without room", api->verify(plugin, &presented, &verdict), 0);
}

static void misuse_open(sealpost_plugin_entry_fn entry)
{
    expect("entry of version 0", entry(0, 0) != NULL, 0);
    expect("entry of version 2", entry(2, 0) != NULL, 0);
    expect("entry of version 1.9", entry(1, 9) == api, 1);

    char error[64] = "";
    sealpost_plugin *none = NULL;
    sealpost_host host = {0};
    host.error = error;
    host.error_size = sizeof error;
    expect("open without host", api->open(NULL, &none), 1);
    expect("open too short", api->open(&host, &none), 2);
    host.struct_size = sizeof host;
    expect("open of version 0", api->open(&host, &none), 3);
    expect("says so", strcmp(error, "abi_major: this library speaks version 1"), 0);
    host.abi_major = 1;
    expect("open without place", api->open(&host, NULL), 1);
    host.config = text("sokcet=/run/sealpost/plugin.sock");
    expect("open with odd config", api->open(&host, &none), 5);
    expect("says so", strncmp(error, "config: `sokcet` is not one of socket", 37), 0);
    host.error = NULL;
    expect("open with odd config and no text", api->open(&host, &none), 5);
    expect("nothing was made", none != NULL, 0);
}

static void *ask_many(void *domain)
{
    for (int i = 0; i < 200; i++) {
        sealpost_query query = query_of(domain, NULL);
        sealpost_policy *policy = NULL;
        sealpost_policy_view view = {0};
        view.struct_size = sizeof view;
        int code = api->policy(plugin, &query, &policy, &view);
        /* The test's daemon puts the domain into the reason. */
        if (code != SEALPOST_OK || view.answered_by != SEALPOST_ANSWERED_BY_DAEMON ||
            view.reason.len != strlen(domain) ||
            memcmp(view.reason.ptr, domain, view.reason.len) != 0)
            return "WRONG";
        api->policy_free(plugin, policy);
    }
    return "ok";
}

static void threads(void)
{
    char *domains[] = {"a.example", "bb.example", "ccc.example", "dddd.example"};
    pthread_t running[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&running[i], NULL, ask_many, domains[i]);
    for (int i = 0; i < 4; i++) {
        void *result = NULL;
        pthread_join(running[i], &result);
        printf("thread %s\n", (char *)result);
    }
}

/* Forks; parent and child both ask, several times and at the same time. */
static void fork_and_ask(int with_call)
{
    fflush(stdout);
    int ready[2];
    if (pipe(ready) != 0)
        exit(70);
    pid_t child = fork();
    const char *domain = child == 0 ? "child.example" : "parent.example";
    if (child == 0 && with_call)
        expect("forked", api->forked(plugin), 0);
    const char *result = ask_many((void *)domain);
    if (child == 0) {
        printf("child %s\n", result);
        fflush(stdout);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    printf("parent %s, child ended with %d\n", result, status);
    fflush(stdout);
    close(ready[0]);
    close(ready[1]);
}

/* As a host that becomes a daemon: every descriptor is closed, and the numbers are taken anew. The
 * next call must neither write to the newcomers nor close them. */
static void close_all(void)
{
    fflush(stdout);
    int pairs[8][2];
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    for (int i = 0; i < 8; i++)
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pairs[i]) != 0)
            exit(70);
    ask("after.example", NULL);
    int harmed = 0;
    for (int i = 0; i < 8; i++) {
        char byte;
        harmed += read(pairs[i][0], &byte, 1) != -1 || read(pairs[i][1], &byte, 1) != -1 ||
                  fcntl(pairs[i][0], F_GETFD) == -1 || fcntl(pairs[i][1], F_GETFD) == -1;
    }
    expect("descriptors of others harmed", harmed, 0);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 64;
    signal(SIGPIPE, SIG_DFL);
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        puts(dlerror());
        return 69;
    }
    sealpost_plugin_entry_fn entry = NULL;
    *(void **)(&entry) = dlsym(library, "sealpost_plugin_entry_v1");
    api = entry ? entry(SEALPOST_ABI_MAJOR, SEALPOST_ABI_MINOR) : NULL;
    if (!api)
        return 69;
    sealpost_host host = {0};
    host.struct_size = sizeof host;
    host.abi_major = SEALPOST_ABI_MAJOR;
    host.abi_minor = SEALPOST_ABI_MINOR;
    host.config = text(argv[2]);
    if (api->open(&host, &plugin) != SEALPOST_OK)
        return 78;

    char line[16];
    for (int i = 3; i < argc; i++) {
        char *step = argv[i];
        char *domain = strchr(step, ':');
        if (domain)
            *domain++ = '\0';
        if (!strcmp(step, "ask"))
            ask(domain, NULL);
        else if (!strcmp(step, "mx"))
            ask(domain, "mx1.example.org");
        else if (!strcmp(step, "tell"))
            tell(domain);
        else if (!strcmp(step, "facts"))
            tell_facts(domain);
        else if (!strcmp(step, "misuse"))
            misuse(), misuse_verify(), misuse_open(entry);
        else if (!strcmp(step, "chain"))
            tell_chain(domain);
        else if (!strcmp(step, "verify"))
            judge(domain);
        else if (!strcmp(step, "as-1.0"))
            as_1_0();
        else if (!strcmp(step, "threads"))
            threads();
        else if (!strcmp(step, "fork"))
            fork_and_ask(0);
        else if (!strcmp(step, "forked"))
            fork_and_ask(1);
        else if (!strcmp(step, "close-all"))
            close_all();
        else if (!strcmp(step, "wait")) {
            puts("waiting");
            fflush(stdout);
            if (!fgets(line, sizeof line, stdin))
                return 70;
        } else
            return 64;
    }
    api->close(plugin);
    puts("closed");
    return 0;
}
