;; Configured by some hundred million instructions, and then quick. Each call logs a line.
(data (i32.const 1024) "configure" "evaluate")

(func (export "configure") (param i32 i32 i32 i32) (result i32)
  (local $left i32)
  (call $log (i32.const 1024) (i32.const 9) (i32.const 1024) (i32.const 9))
  (local.set $left (i32.const 100000000))
  (loop $next
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (br_if $next (local.get $left)))
  (call $configured))

(func (export "evaluate") (param i32) (result i32)
  (call $log (i32.const 1033) (i32.const 8) (i32.const 1033) (i32.const 8))
  (call $accept))
