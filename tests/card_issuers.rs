//! Issuers that make our cards, asked over the network by the built program (behaviour 4.5, 4.8).

#![cfg(test)]

#[path = "card_issuers/aside.rs"]
mod aside;
#[path = "card_issuers/comes_back.rs"]
mod comes_back;
#[path = "card_issuers/create.rs"]
mod create;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "api/in_file.rs"]
mod database;
#[path = "card_issuers/desk.rs"]
mod desk;
#[path = "card_issuers/faithful.rs"]
mod faithful;
#[path = "card_issuers/far_side.rs"]
mod far_side;
#[path = "card_issuers/operators.rs"]
mod operators;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "api/plane.rs"]
mod plane;
#[path = "card_issuers/plastic.rs"]
mod plastic;
#[path = "card_issuers/purchases.rs"]
mod purchases;
#[path = "card_issuers/schemas.rs"]
mod schemas;
#[path = "card_issuers/sealed.rs"]
mod sealed;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/server.rs"]
mod server;
#[path = "card_issuers/told.rs"]
mod told;
