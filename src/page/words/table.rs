//! **The** table of the page's words: each by its name, in English and in Japanese. A word that is
//! missing in one of them does not compile. `{}` is filled in when it is shown.

macro_rules! words {
    ($($name:ident: $english:literal, $japanese:literal;)*) => {
        /// Every word, in one language.
        #[derive(Debug)]
        pub(crate) struct Words {
            $(pub(crate) $name: &'static str,)*
        }

        /// In English.
        pub(crate) static ENGLISH: Words = Words { $($name: $english,)* };

        /// In Japanese.
        pub(crate) static JAPANESE: Words = Words { $($name: $japanese,)* };

        /// Each with its name, for the tests.
        #[cfg(test)]
        pub(super) fn pairs() -> Vec<(&'static str, &'static str, &'static str)> {
            vec![$((stringify!($name), $english, $japanese),)*]
        }
    };
}

words! {
    // What stands on every page.
    skip: "Skip to the content", "本文へ移動";
    places: "Pages", "ページ一覧";
    languages: "Language", "言語";
    overview: "Overview", "概要";
    domains: "Domains", "ドメイン";
    policies: "Policies", "ポリシー";
    reports: "Reports", "レポート";
    overrides: "Overrides", "上書き設定";
    health: "Health", "稼働状況";
    sign_in: "Sign in", "サインイン";
    sign_out: "Sign out", "サインアウト";
    signed_in_as: "Signed in as {}", "{} としてサインイン中";
    all_times_utc: "All days and times are UTC. It is {}.", "日付と時刻はすべて UTC です。現在 {}。";
    still_reading: "The store is being read: {} of {} days so far. Load the page again for more.", "ストアを読み込み中です（{} / {} 日）。再読み込みすると続きが表示されます。";
    back: "Back", "戻る";
    none: "none", "なし";
    reason: "Reason", "理由";
    domain: "Domain", "ドメイン";
    day: "Day", "日付";
    days_shown: "the last {} days", "直近 {} 日間";

    // Protections.
    sessions: "Sessions", "セッション";
    dane: "DANE", "DANE";
    sts: "MTA-STS", "MTA-STS";
    tls: "TLS only", "TLS のみ";
    clear: "In the clear", "平文";
    refused: "Refused", "拒否";
    dane_means: "The certificate matched a signed TLSA record.", "証明書が署名付き TLSA レコードと一致しました。";
    sts_means: "The host and its certificate satisfied an MTA-STS policy.", "ホストと証明書が MTA-STS ポリシーを満たしました。";
    tls_means: "Encrypted, with a certificate that no policy vouches for.", "暗号化されていますが、証明書を保証するポリシーはありません。";
    clear_means: "Not encrypted.", "暗号化されていません。";
    refused_means: "A policy kept the mail from going there.", "ポリシーにより配送が止められました。";
    protection: "Protection", "保護";
    chart_title: "Sessions per day, by what protected them", "保護の種類別・日別セッション数";
    chart_summary: "{} sessions in {} days. The day with the most is {}, with {}.", "{} 件のセッション（{} 日間）。最も多い日は {} の {} 件です。";
    chart_nothing: "No sessions were counted in these days.", "この期間に数えられたセッションはありません。";
    as_table: "Show as a table", "表で表示";

    // Overview.
    alarms: "What needs you now", "対応が必要な事項";
    all_well: "Nothing needs you now.", "現在、対応が必要な事項はありません。";
    vouched_for: "Vouched for by DANE or MTA-STS", "DANE / MTA-STS で保護";
    success_rate: "Satisfied their policy", "ポリシーを満たした割合";
    success_rate_means: "of what was held to a policy, or to none", "ポリシーの有無を問わない判定全体に対する割合";
    domains_seen: "Domains", "ドメイン数";
    with_failures: "{} with failures", "うち失敗あり {}";
    failed_sessions: "Failed", "失敗";
    reports_of: "Reports of {}", "{} 分のレポート";
    top_failures: "What fails most", "主な失敗";
    top_failures_none: "No session failed its policy in these days.", "この期間にポリシーを満たさなかったセッションはありません。";
    what_failed: "What happened", "内容";
    most_with: "Most with", "最多ドメイン";
    what_to_do: "What to do", "対処";
    what_it_means: "What it most likely means", "考えられる原因";
    worst_domains: "Domains with the most failures", "失敗の多いドメイン";
    see_all_domains: "All domains", "すべてのドメイン";

    // Domains.
    search_domains: "Find a domain", "ドメインを検索";
    search_hint: "A part of the name will do.", "名前の一部でも検索できます。";
    search: "Search", "検索";
    sort_by: "Sort by", "並べ替え";
    by_failures: "failures", "失敗数";
    by_sessions: "sessions", "セッション数";
    by_name: "name", "名前";
    by_clear: "mail in the clear", "平文の数";
    found: "Found: {}. Shown: {} to {}.", "{} 件（{} ～ {} を表示）";
    found_nothing: "No domain fits.", "該当するドメインはありません。";
    policy: "Policy", "ポリシー";
    first_page: "First", "先頭";
    previous_page: "Previous", "前へ";
    next_page: "Next", "次へ";
    pages: "Pages of the list", "一覧のページ";
    go_to_any: "Nothing is known of {}. Open its page all the same", "{} の記録はありません。ページを開く";

    // A domain.
    nothing_of_domain: "Nothing was counted of this domain in {}.", "このドメインの記録は{}ありません。";
    what_fails: "What fails, and what to do", "失敗の内容と対処";
    nothing_fails: "No session with this domain failed in {}.", "{}、このドメインとの失敗したセッションはありません。";
    times_since: "{} sessions, from {} to {}", "{} セッション（{} ～ {}）";
    at_hosts: "Mail hosts", "メールホスト";
    without_host: "no mail host was involved", "メールホストは関与していません";
    greeted_as: "greets as {}", "HELO 名 {}";
    english_only: "In English:", "英語の説明:";
    policy_kept: "The policy that is kept", "保持しているポリシー";
    no_policy_kept: "No MTA-STS policy of this domain is kept.", "このドメインの MTA-STS ポリシーは保持していません。";
    mode: "Mode", "モード";
    policy_id: "Id", "ID";
    fetched_at: "Fetched", "取得日時";
    tried_at: "Last tried", "最終確認";
    expires_at: "Holds until", "有効期限";
    expired: "expired", "期限切れ";
    mx_patterns: "MX patterns", "MX パターン";
    as_published: "As published", "公開されている内容";
    last_trouble: "The last fetch failed", "直近の取得に失敗";
    policy_history: "Policies that sessions were held to", "セッションに適用されたポリシー";
    policy_history_hint: "Each exact policy, with the days on which sessions were held to it.", "適用された各ポリシーと、その適用日です。";
    policy_type: "Kind", "種類";
    first_day: "First day", "最初の日";
    satisfied: "Satisfied", "適合";
    not_satisfied: "Failed", "不適合";
    kind_sts: "MTA-STS policy", "MTA-STS ポリシー";
    kind_tlsa: "TLSA records", "TLSA レコード";
    kind_none: "no policy", "ポリシーなし";
    look_now: "Look at the domain now", "このドメインを今すぐ調べる";
    look_hint: "Asks the DNS and the policy host what would happen to mail now. Changes nothing.", "DNS とポリシーホストに問い合わせ、今メールがどう扱われるかを調べます。設定は変わりません。";
    look_result: "What would happen to mail to {} now", "今 {} 宛のメールはどう扱われるか";
    override_in_force: "An override is in force", "上書き設定が有効です";

    // Policies.
    policies_hint: "MTA-STS policies that are kept, as they hold for the next mail.", "保持している MTA-STS ポリシーです。次のメールに適用されます。";
    any_mode: "any", "すべて";
    no_policies: "No policy fits.", "該当するポリシーはありません。";
    refresh: "Fetch again", "再取得";
    purge: "Forget", "破棄";
    state: "State", "状態";

    // Reports.
    reports_hint: "How the reports of one day stand, by domain and destination.", "指定日のレポートの状況（ドメイン・宛先別）です。";
    show: "Show", "表示";
    state_any: "any", "すべて";
    state_sent: "sent", "送信済み";
    state_waiting: "waiting", "待機中";
    state_given_up: "given up", "断念";
    state_none: "no report", "レポートなし";
    state_due: "due", "送信予定";
    state_sending: "under way", "送信中";
    state_retry: "tried again later", "再試行待ち";
    destination: "Destination", "宛先";
    since_when: "When", "日時";
    attempts: "Attempts", "試行回数";
    no_reports: "No report fits.", "該当するレポートはありません。";
    send_now: "Send now", "今すぐ送信";
    send_day_now: "Send what waits of this day", "この日の未送信分を送信";
    preview: "Preview", "プレビュー";
    downloads: "Download", "ダウンロード";
    report_sent_title: "Report on {} of {}", "{} のレポート（{}）";
    report_text: "What people read", "本文";
    report_json: "The report as JSON", "JSON レポート";
    report_notes: "To be known", "補足";
    day_not_over: "The day is not over: this is what the report would say now.", "この日はまだ終わっていません。現時点の内容です。";
    report_goes_to: "It goes to", "送信先";
    nowhere: "nowhere: the domain asks for no reports, or none that can be sent", "なし（レポートを求めていないか、送信できません）";
    reports_of_domain: "Reports", "レポート";
    no_reports_of_domain: "No report of this domain was begun in {}.", "{}、このドメインのレポートはありません。";
    suppressed: "Destinations that get no reports", "送信を停止している宛先";
    suppressed_none: "Every destination gets its reports.", "送信を停止している宛先はありません。";
    suppressed_by: "By", "停止元";
    by_refusals: "its refusals", "受信拒否";
    by_operator: "the operator", "管理者";
    until: "Until", "期限";
    until_lifted: "until it is lifted", "解除されるまで";
    lift: "Lift", "解除";
    suppress: "Send no more reports to a destination", "宛先への送信を停止";
    suppress_destination: "Destination, a mailbox or an https: URI", "宛先（メールアドレスまたは https: URI）";
    suppress_until: "Last day of it, as 2026-12-31 (optional)", "最終日（例 2026-12-31、任意）";
    suppress_reason: "Why, for whoever reads it later", "理由（後で読む人のために）";
    suppress_button: "Suppress", "停止する";

    // Overrides.
    overrides_hint: "What is done otherwise for single domains: set at once by the command `sealpost override set`, or in the configuration file, each in a section such as this, which the daemon takes up on a reload.", "個別ドメインに対する例外設定です。コマンド sealpost override set で即時に設定するか、設定ファイルに次のような節として書き、再読み込みで反映します。";
    overrides_none: "There is no override: every domain's own policy holds.", "上書き設定はありません。各ドメインのポリシーがそのまま適用されます。";
    override_set: "Do otherwise for a domain", "ドメインの例外設定を追加";
    override_until: "Last day of it, as 2026-12-31 (optional)", "最終日（例 2026-12-31、任意）";
    override_end: "End", "終了する";
    override_author: "Set by", "設定者";
    override_by_file: "the configuration", "設定ファイル";
    override_every_other: "every other domain", "その他のすべてのドメイン";
    override_passed_over: "the configuration decides", "設定ファイルが優先";
    override_ended: "ended", "終了";
    in_file: "The configuration is in {}.", "設定ファイル: {}";
    mode_off: "No policy is looked up or applied.", "ポリシーを確認も適用もしません。";
    mode_audit: "The policy is evaluated and reported, not enforced.", "ポリシーを評価・報告しますが強制しません。";
    mode_enforce: "A testing policy is enforced.", "testing ポリシーも強制します。";
    mode_dane_only: "DANE or nothing.", "DANE のみ（なければ配送しない）。";
    mode_without_dane: "TLSA records are passed over.", "TLSA レコードを無視します。";

    // Audit.
    audit: "Audit", "監査";
    audit_hint: "The decisions that changed which mail goes and how, the newest first.", "メールの配送に影響した決定の記録です（新しい順）。";
    audit_none: "There are no such decisions.", "該当する決定はありません。";
    audit_shown: "Shown: {}. Older ones: {}.", "{} 件を表示（これより古いもの {} 件）";
    audit_broken: "The log was changed: entry {} does not follow from the one before. See `sealpost audit --verify`.", "記録が改変されています。{} 番目の項目が直前の項目とつながりません。`sealpost audit --verify` で確認してください。";
    audit_chain: "{} entries are held. SHA-256 of the last: {}", "保持 {} 件。最後の項目の SHA-256: {}";
    whole_name: "The whole name.", "完全なドメイン名を入力します。";
    decision: "Decision", "決定";
    any_kind: "any", "すべて";
    decided_by: "By", "決定者";
    in_words: "In words", "内容";
    audit_started: "the daemon started", "起動";
    audit_stopped: "the daemon stopped", "停止";
    audit_reloaded: "configuration read again", "設定の再読み込み";
    audit_override_set: "override set", "例外設定の追加";
    audit_override_ended: "override ended", "例外設定の終了";
    audit_override_ran_out: "override ran out", "例外設定の期限切れ";
    audit_policy_changed: "policy changed", "ポリシーの変更";
    audit_policy_expired: "policy expired", "ポリシーの期限切れ";
    audit_policy_refreshed: "policy fetched by an operator", "管理者によるポリシーの再取得";
    audit_policy_purged: "policy forgotten by an operator", "管理者によるポリシーの破棄";
    audit_mail_refused: "mail refused", "メールの拒否";
    audit_dane_on: "DANE is on again", "DANE の再開";
    audit_dane_off: "DANE is off", "DANE の停止";
    audit_counts_forgotten: "counts forgotten", "集計の削除";
    audit_suppression_added: "destination suppressed", "宛先への送信停止";
    audit_suppression_lifted: "destination gets reports again", "宛先への送信再開";
    decisions_of_domain: "Decisions about this domain", "このドメインに関する決定";
    decisions_none: "No decision about this domain is in the log.", "このドメインに関する決定の記録はありません。";
    decisions_more: "There are older ones.", "これより古い記録もあります。";
    decisions_elsewhere: "The log is long, and takes longer to read than this page waits.", "記録が長いため、このページでは読み込みを待ちません。";
    decisions_all: "All of them, in the log", "記録をすべて見る";
    applied_on: "Days", "適用日";
    days: "Number of days", "日数";

    // Alerts.
    alerts: "Alerts", "アラート";
    alerts_hint: "What you are told of without asking, and what of it holds now.", "自動で通知される事項と、現在発生しているものです。";
    alerts_none: "No alert holds.", "発生中のアラートはありません。";
    alerts_hold: "Alerts that hold: {}", "発生中のアラート: {} 件";
    alert_quiet: "quiet", "正常";
    alert_firing: "firing: {}", "発生中: {}";
    alert_of: "Of", "対象";
    alert_since: "Since", "発生日時";
    alert_mailed: "Last told by mail", "最後のメール通知";
    alert_posted: "Last told by webhook", "最後の Webhook 通知";
    not_told: "not told", "未通知";
    alerts_further: "{} more: `sealpost alert list` has them.", "ほか {} 件は `sealpost alert list` で確認できます。";
    alerts_told: "Who is told", "通知先";
    alerts_told_hint: "All of it is in the daemon's log, whoever else is told.", "通知先にかかわらず、すべてデーモンのログに記録されます。";
    alerts_mail_to: "Mail to", "メール";
    alerts_webhook: "Webhook at", "Webhook";
    alerts_quiet: "Quiet hours (UTC)", "通知しない時間帯（UTC）";
    alerts_repeat: "Told again after", "再通知までの時間";
    hours: "{} hours", "{} 時間";
    nobody: "nobody", "なし";
    rule_enforce_failures: "A policy keeps mail to a domain from being delivered", "ポリシーによりドメイン宛の配送が止められています";
    do_enforce_failures: "Open the domain's page: it says what fails and what to do. Where the domain itself is at fault, tell its postmaster; where mail cannot wait, an override `audit` with a last day lets it through.", "ドメインのページで失敗の内容と対処を確認してください。相手側の問題であれば postmaster に連絡します。配送を急ぐ場合は、期限付きの例外設定 audit で通せます。";
    rule_policy_expiring: "A policy cannot be fetched any more and is about to expire", "ポリシーを取得できず、まもなく期限が切れます";
    do_policy_expiring: "Fetch it again on the domain's page. After it has expired mail goes there without it. Where the domain has given its policy up, forget it.", "ドメインのページで再取得してください。期限後はポリシーなしで配送されます。ドメインが公開をやめた場合は破棄してください。";
    rule_starttls_vanished: "A domain whose sessions were encrypted for weeks offers no STARTTLS any more", "数週間暗号化されていたドメインが STARTTLS を提示しなくなりました";
    do_starttls_vanished: "Look at it with `sealpost check DOMAIN --probe`. Somebody on the way may be taking STARTTLS out of the sessions: ask its postmaster by another way than mail.", "`sealpost check DOMAIN --probe` で確認してください。経路上で STARTTLS が取り除かれている可能性があるため、メール以外の方法で postmaster に問い合わせてください。";
    rule_reports_stuck: "Reports do not leave", "レポートを送信できません";
    do_reports_stuck: "The page of reports has the reasons. Does the relay take mail, and does the resolver answer?", "理由はレポートのページにあります。中継サーバーがメールを受け取るか、リゾルバーが応答するかを確認してください。";
    rule_alarm: "The daemon has an alarm", "デーモンに警告があります";
    do_alarm: "The overview and the page of health have it.", "概要または稼働状況のページで確認してください。";

    // Health.
    doctor: "What may be silently wrong", "表に出ない問題の診断";
    doctor_hint: "`sealpost doctor` looks at this machine as the daemon's user sees it, for ten seconds at most, and changes nothing. As root it sees more on the command line. What it finds is in English.", "`sealpost doctor` がデーモンの権限でこのサーバーを調べます（最大 10 秒、何も変更しません）。root としてコマンドで実行すると、より詳しく調べられます。結果は英語です。";
    doctor_look: "Look now", "今すぐ診断";
    doctor_looks: "It is looking. Load the page again for what it finds.", "診断中です。再読み込みすると結果が表示されます。";
    doctor_looked: "As it was at {}:", "{} 時点の結果:";
    doctor_seen: "What was seen", "確認した内容";
    doctor_means: "What it means", "意味";
    doctor_rest: "What is well, and what could not be seen", "正常な項目と確認できなかった項目";
    doctor_trouble: "trouble", "問題";
    doctor_warning: "warning", "注意";
    doctor_well: "well", "正常";
    doctor_not_known: "not known", "不明";
    examination: "Examination", "診断項目";
    program: "Program", "プログラム";
    process: "Process", "プロセス";
    started_at: "Started", "起動日時";
    configuration: "Configuration", "設定ファイル";
    built_in: "built-in defaults", "組み込みの既定値";
    store: "Store", "ストア";
    store_recording: "recording", "記録中";
    store_waiting: "not on the disk, {} rows wait in memory", "ディスクに書けず、{} 行がメモリで待機中";
    store_put_aside: "put aside: kept in memory only", "退避済み（メモリのみ）";
    days_held: "Days held", "保持日数";
    counters: "Counters since the start", "起動後のカウンター";
    counter: "Counter", "カウンター";
    value: "Value", "値";

    // What a failure means.
    explain_title: "What failures mean", "失敗の意味";
    explain_hint: "Result types of RFC 8460 and their reason codes, in plain words.", "RFC 8460 の結果種別と理由コードの説明です。";
    no_such_failure: "There is no failure of that name.", "その名前の失敗はありません。";

    // What is done.
    confirm: "Are you sure?", "実行しますか？";
    confirm_purge: "Forget the policy kept for {}?", "{} のポリシーを破棄しますか？";
    purge_does: "The domain is then as unknown: until its policy was fetched again, nobody is held to it.", "ドメインは未知の状態に戻り、再取得されるまでポリシーは適用されません。";
    confirm_send: "Send the report on {} of {} now?", "{} のレポート（{}）を今すぐ送信しますか？";
    send_does: "What was sent before is not sent again. What was given up is begun anew, also to a destination that its refusals have suppressed.", "送信済みのものは再送されません。断念したものは、受信拒否で停止中の宛先も含めてやり直します。";
    confirm_send_all: "Send everything that waits of {} now?", "{} の未送信レポートをすべて送信しますか？";
    send_all_does: "All at once, whatever the schedule. What was sent before is not sent again, and suppressed destinations get nothing.", "予定にかかわらず一括で送信します。送信済みのものは再送されず、停止中の宛先には送られません。";
    confirm_lift: "Send reports to {} again?", "{} への送信を再開しますか？";
    lift_does: "Its next refusal counts as a first one.", "次の拒否は初回として扱われます。";
    confirm_suppress: "Send no more reports to {}?", "{} への送信を停止しますか？";
    suppress_does: "Whatever records name it, it gets none until the day is over or this is lifted.", "どのレコードに載っていても、期限まで、または解除されるまで送信しません。";
    confirm_override: "Do otherwise for {}: {}?", "{} に例外設定（{}）を適用しますか？";
    override_does: "It holds at once, in the place of what was set before, and your reason is kept beside it.", "直ちに有効になり、以前の設定を置き換えます。理由も記録されます。";
    confirm_expire: "End the override of {}?", "{} の例外設定を終了しますか？";
    expire_does: "The domain's own policies hold again at once.", "ドメイン自身のポリシーが直ちに再び適用されます。";
    confirm_yes: "Yes, do it", "実行する";
    cancel: "No, go back", "やめて戻る";
    done: "Done", "完了";
    not_done: "That did not work", "実行できませんでした";
    done_purged: "The policy of {} is forgotten.", "{} のポリシーを破棄しました。";
    done_not_kept: "No policy of {} was kept.", "{} のポリシーは保持していませんでした。";
    done_refreshed_new: "A new policy of {} was fetched.", "{} の新しいポリシーを取得しました。";
    done_refreshed_same: "The same policy of {} was fetched again.", "{} の同じポリシーを再取得しました。";
    done_refreshed_none: "{} announces no policy.", "{} はポリシーを公開していません。";
    done_refreshed_failed: "The policy of {} could not be had.", "{} のポリシーを取得できませんでした。";
    done_lifted: "{} gets reports again.", "{} への送信を再開しました。";
    done_suppressed: "{} gets no more reports.", "{} への送信を停止しました。";
    done_overridden: "{} has the override {}.", "{} に例外設定（{}）を適用しました。";
    done_expired: "The override of {} has ended.", "{} の例外設定を終了しました。";
    done_sent: "What came of the reports of {}", "{} のレポートの送信結果";
    outcome: "Outcome", "結果";
    outcome_sent: "sent", "送信した";
    outcome_already: "was sent before", "送信済み";
    outcome_failed: "failed, tried again on schedule", "失敗（予定どおり再試行）";
    outcome_given_up: "given up", "断念";
    outcome_no_destination: "nowhere to send it", "宛先なし";
    outcome_left_out: "left out", "対象外";

    // Signing in, and what is refused.
    token: "Token", "トークン";
    token_hint: "The word in the file that page.token_file names.", "page.token_file で指定したファイルの文字列です。";
    sign_in_link_hint: "On the mail server, `sealpost page` prints a link that signs you in.", "メールサーバーで `sealpost page` を実行すると、サインイン用のリンクが表示されます。";
    sign_in_wrong: "That did not sign you in: the token is wrong, or the link is used up or too old.", "サインインできませんでした。トークンが違うか、リンクが使用済みまたは期限切れです。";
    sign_in_button: "Sign in", "サインイン";
    sign_in_go: "Go on to the page", "ページへ進む";
    link_hint: "This link is good once.", "このリンクは一度だけ使えます。";
    refused_title: "Refused", "拒否されました";
    refused_host: "This page is not called {}. If it is, add the name to page.names.", "このページは {} という名前では開けません。正しい名前であれば page.names に追加してください。";
    refused_origin: "The request came from another site.", "別のサイトからの要求です。";
    refused_form: "The form is too old. Go back, load the page again and try once more.", "フォームの有効期限が切れています。前のページを再読み込みしてやり直してください。";
    refused_user: "The reverse proxy did not say who you are.", "リバースプロキシから利用者名が渡されていません。";
    too_slow: "That took too long.", "時間がかかりすぎました。";
    not_found: "There is no such page.", "ページが見つかりません。";
    trouble: "Something is in the way", "問題が発生しました";
}
