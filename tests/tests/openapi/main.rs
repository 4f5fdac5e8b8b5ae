//! The API's description against the API: the same routes, the same documents taken and refused, the
//! same answers. Every other test that asks the API through `World` holds its answer against it too.

mod both;
mod document;
mod routes;
