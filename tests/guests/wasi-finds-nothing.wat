;; Looks around: the clocks, the environment, files, standard input, a terminal. Traps unless it finds the handshake's
;; time and nothing else.
(import "wasi:cli/environment@0.2.9" "get-environment" (func $environment (param i32)))
(import "wasi:cli/environment@0.2.9" "get-arguments" (func $arguments (param i32)))
(import "wasi:cli/environment@0.2.9" "initial-cwd" (func $directory (param i32)))
(import "wasi:cli/stdin@0.2.9" "get-stdin" (func $stdin (result i32)))
(import "wasi:cli/terminal-stdout@0.2.9" "get-terminal-stdout" (func $terminal (param i32)))
(import "wasi:clocks/monotonic-clock@0.2.12" "now" (func $monotonic (result i64)))
(import "wasi:clocks/wall-clock@0.2.12" "now" (func $wall (param i32)))
(import "wasi:filesystem/preopens@0.2.3" "get-directories" (func $directories (param i32)))
(import "wasi:io/streams@0.2.6" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))

(func $must (param i32) (if (i32.eqz (local.get 0)) (then (unreachable))))

;; Answers are written at 1024. They are made all ones first, so that zeros are the host's.
(func $clear (result i32) (memory.fill (i32.const 1024) (i32.const 255) (i32.const 64)) (i32.const 1024))
(func $must_be_empty_list (call $must (i32.eqz (i32.load (i32.const 1028)))))
(func $must_be_none (call $must (i32.eqz (i32.load8_u (i32.const 1024)))))

(func (export "evaluate") (param $handshake i32) (result i32)
  (local $time i64)
  (local.set $time (call $time (local.get $handshake)))
  (call $wall (call $clear))
  (call $must (i64.eq (i64.load (i32.const 1024)) (local.get $time)))
  (call $must (i32.eqz (i32.load (i32.const 1032))))
  (call $must (i64.eq (call $monotonic) (i64.mul (local.get $time) (i64.const 1000000000))))
  (call $environment (call $clear)) (call $must_be_empty_list)
  (call $arguments (call $clear)) (call $must_be_empty_list)
  (call $directory (call $clear)) (call $must_be_none)
  (call $directories (call $clear)) (call $must_be_empty_list)
  (call $terminal (call $clear)) (call $must_be_none)
  ;; An error (1), and that one is `closed` (1).
  (call $read (call $stdin) (i64.const 16) (call $clear))
  (call $must (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 1)))
  (call $must (i32.eq (i32.load8_u (i32.const 1028)) (i32.const 1)))
  (call $accept))
