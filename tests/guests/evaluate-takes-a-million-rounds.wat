(func (export "evaluate") (param i32) (result i32)
  (local $left i32)
  (local.set $left (i32.const 1000000))
  (loop $next
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (br_if $next (local.get $left)))
  (call $accept))
