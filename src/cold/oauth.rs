//! OAuth 2.1 for the agents' door (behaviour 7.1): a person lets a program act as one agent.
//!
//! Authorization code with PKCE and nothing else; codes, access and refresh tokens are random texts of
//! which a keyed hash is kept. What a token rests on — its grant, the person, the agent — is read each
//! time it is used, so that what ends any of them ends it at once.

pub(in crate::cold) mod tokens;

/// Where it is written which server's tokens the agents' door takes (RFC 9728).
pub(in crate::cold) const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource/api/mcp";
/// All that a token is for.
pub(in crate::cold) const SCOPE: &str = "agent";
