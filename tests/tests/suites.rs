//! The suites of the policies that come with Portcullis, through the binary.

use std::path::Path;
use std::process::Command;

use portcullis_tests::gate::{binary, components};
use serde_json::Value;

#[test]
fn the_suites_of_the_policies_pass_and_leave_no_code_and_no_setting_out() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let output = Command::new(binary())
        .args(["test", "--require-coverage", "--format", "json", "--plugins"])
        .args([components(), plugins])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).expect(&said);
    let suites = report["suites"].as_array().expect("suites");
    let failed: Vec<&Value> = suites
        .iter()
        .flat_map(|suite| suite["cases"].as_array().into_iter().flatten())
        .filter(|case| case["passed"] != true)
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(suites.len(), 4);
    let coverage = report["coverage"].as_array().expect("coverage");
    assert_eq!(coverage.len(), 4);
    for policy in coverage {
        for missing in ["missing_codes", "missing_settings"] {
            assert_eq!(policy[missing], serde_json::json!([]), "{policy}");
        }
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
}
