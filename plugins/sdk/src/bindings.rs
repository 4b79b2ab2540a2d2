//! The bindings of the `policy` world, generated from the repository's `wit` folder.
//!
//! Unsafe code stands only here, where wit-bindgen makes it: the imports and exports of a component are raw wasm functions.

wit_bindgen::generate!({
    path: "../../wit",
    world: "policy",
    pub_export_macro: true,
    default_bindings_module: "portcullis_guest::bindings",
    additional_derives: [Clone, PartialEq],
    additional_derives_ignore: ["certificate", "handshake"],
});
