//! What a failure means, in the reader's language.
//!
//! The one table of failures (`report::explain`) is in English, and closer than one line for a result
//! type. In Japanese the page has a row for each result type; what the table says more closely of a
//! reason code stands below it in English.

use std::borrow::Cow;

use sealpost_plugin_api::ResultType;

use super::Language;
use crate::report::explain::{DOMAIN, Explanation, Voice, explain, mark};

/// What a failure means, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainWords {
    /// What happened.
    pub(crate) happened: String,
    /// What that most likely means.
    pub(crate) meaning: String,
    /// What to do.
    pub(crate) remedy: String,
    /// Where it was seen, if the mail server did not tell; in English.
    pub(crate) seen: Option<Cow<'static, str>>,
    /// The closer words in English, where the others are not.
    pub(crate) closer: Option<[String; 3]>,
}

/// What a failure of a domain means.
pub(crate) fn plain_words(
    language: Language,
    result: ResultType,
    reason: Option<&str>,
    domain: Option<&str>,
) -> PlainWords {
    let named = |sentence: Cow<'static, str>| match domain {
        Some(domain) => sentence.replace(DOMAIN, domain),
        None => sentence.into_owned(),
    };
    // Who reads it is who sends the mail.
    let english = explain(result, reason, Voice::We);
    let seen = reason.and_then(|reason| mark(reason, Voice::We));
    let in_words = |words: Explanation| [words.happened, words.meaning, words.remedy].map(named);
    let (own, closer) = match language {
        Language::English => (english, None),
        Language::Japanese => (japanese(result), Some(in_words(english))),
    };
    let [happened, meaning, remedy] = in_words(own);
    PlainWords {
        happened,
        meaning,
        remedy,
        seen,
        closer,
    }
}

/// What a result type means, in Japanese.
const fn japanese(result: ResultType) -> Explanation {
    match result {
        ResultType::StarttlsNotSupported => said(
            "メールホストが STARTTLS に対応していないか、開始を拒否しました。",
            "TLS が無効になっているか、途中の機器が STARTTLS を取り除いています。",
            "メールサーバーで TLS を有効にし、ファイアウォールが SMTP を書き換えていないか確認してください。",
        ),
        ResultType::CertificateHostMismatch => said(
            "証明書の名前がメールホストの名前と一致しません。",
            "証明書が別の名前で発行されているか、MX の名前が変わりました。",
            "MX の名前を subjectAltName に含む証明書を設定してください。",
        ),
        ResultType::CertificateExpired => said(
            "証明書またはその発行者の証明書の有効期限が切れています。",
            "自動更新が止まっているか、更新後にサーバーが再読み込みされていません。",
            "証明書を更新し、メールサーバーを再読み込みしてください。",
        ),
        ResultType::CertificateNotTrusted => said(
            "証明書が信頼された認証局につながりません。",
            "自己署名の証明書か、中間証明書が送られていません。",
            "公的な認証局の証明書を、中間証明書とともに設定してください。",
        ),
        ResultType::ValidationFailure => said(
            "TLS セッションが別の理由で失敗しました。",
            "理由コードに詳細があります。",
            "理由コードを確認し、メールサーバーのログと照らし合わせてください。",
        ),
        ResultType::TlsaInvalid => said(
            "証明書がどの TLSA レコードとも一致しません。",
            "証明書が更新されたのに TLSA レコードが古いままです。",
            "新しい証明書に合わせて TLSA レコードを公開してください。次回は証明書より先にレコードを更新してください。",
        ),
        ResultType::DnssecInvalid => said(
            "DNS の応答の署名（DNSSEC）を検証できません。",
            "署名の期限切れか、DS レコードと鍵の不一致です。",
            "ゾーンの署名と親ゾーンの DS レコードを確認してください。",
        ),
        ResultType::DaneRequired => said(
            "DANE が必須ですが、使える TLSA レコードがありません。",
            "レコードが削除されたか、この宛先には DANE のみの設定がされています。",
            "署名されたゾーンに TLSA レコードを公開してください。",
        ),
        ResultType::StsPolicyFetchError => said(
            "公開されている MTA-STS ポリシーを取得できませんでした。",
            "ポリシーホストが応答しないか、ファイルがありません。",
            "https://mta-sts.DOMAIN/.well-known/mta-sts.txt を開けるか確認してください。",
        ),
        ResultType::StsPolicyInvalid => said(
            "取得した MTA-STS ポリシーが正しくありません。",
            "必須項目の欠落や書式の誤りがあります。",
            "mta-sts.txt の内容（version, mode, mx, max_age）を確認してください。",
        ),
        ResultType::StsWebpkiInvalid => said(
            "ポリシーホストの証明書が正しくありません。",
            "期限切れか、名前の不一致か、信頼された認証局のものではありません。",
            "mta-sts.DOMAIN の証明書を更新してください。",
        ),
        _ => said(
            "この版では説明のない種類の失敗です。",
            "結果種別がこのプログラムより新しいものです。",
            "IANA の結果種別の一覧を確認してください。",
        ),
    }
}

const fn said(happened: &'static str, meaning: &'static str, remedy: &'static str) -> Explanation {
    Explanation {
        happened: Cow::Borrowed(happened),
        meaning: Cow::Borrowed(meaning),
        remedy: Cow::Borrowed(remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_type_is_told_in_both_languages_and_names_the_domain() {
        for result in ResultType::ALL {
            let words = |language| plain_words(language, result, None, Some("example.org"));
            let (english, japanese) = (words(Language::English), words(Language::Japanese));
            assert_eq!(english.closer, None);
            assert!(!japanese.happened.is_ascii(), "{result}");
            assert!(!japanese.meaning.contains("より新しい"), "{result}");
            let [happened, meaning, remedy] = japanese.closer.unwrap();
            assert_eq!(
                [happened, meaning, remedy],
                [english.happened, english.meaning, english.remedy]
            );
            assert!(!japanese.remedy.contains(DOMAIN), "{result}");
        }
    }
}
