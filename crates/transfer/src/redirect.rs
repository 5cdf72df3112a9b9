//! Redirects, followed by hand: each hop is a new request that decides anew who we are.

use reqwest::header::LOCATION;
use reqwest::{Response, Url};

use crate::patience::Break;

/// How often a request may be redirected.
const REDIRECTS: usize = 10;

/// A redirect that is not followed.
#[derive(Debug)]
pub enum Misdirected {
    /// To a URL that is not of HTTP.
    Scheme(Url),
    /// In circles, or too often.
    TooOften,
}

/// The first answer that is no redirect; `hop` makes each request.
pub async fn follow<E: From<Misdirected>>(
    url: &Url,
    hop: impl AsyncFn(&Url) -> Result<Response, Break<E>>,
) -> Result<Response, Break<E>> {
    let mut url = url.clone();
    for _ in 0..REDIRECTS {
        let response = hop(&url).await?;
        match redirection(&url, &response) {
            Some(next) if matches!(next.scheme(), "http" | "https") => url = next,
            Some(next) => return Err(Break::Final(Misdirected::Scheme(next).into())),
            None => return Ok(response),
        }
    }
    Err(Break::Final(Misdirected::TooOften.into()))
}

fn redirection(from: &Url, response: &Response) -> Option<Url> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let redirected = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    redirected.then(|| from.join(location).ok())?
}
