;; Accepts if `configure` saw the time 0 and `evaluate` sees the handshake's.
(import "wasi:clocks/wall-clock@0.2.12" "now" (func $wall (param i32)))

(func (export "configure") (param i32 i32 i32 i32) (result i32)
  (call $wall (i32.const 1024))
  (call $configured))

(func (export "evaluate") (param $handshake i32) (result i32)
  (if (i64.ne (i64.load (i32.const 1024)) (i64.const 0)) (then (unreachable)))
  (call $wall (i32.const 1040))
  (if (i64.ne (i64.load (i32.const 1040)) (call $time (local.get $handshake))) (then (unreachable)))
  (call $accept))
