;; Where the host puts what it hands over: memory is handed out and never taken back.
(global $next (mut i32) (i32.const 4096))
(func (export "cabi_realloc")
  (param $old i32) (param $old_length i32) (param $alignment i32) (param $length i32) (result i32)
  (local $address i32)
  (local.set $address (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
  (global.set $next (i32.add (local.get $address) (local.get $length)))
  (if (i32.gt_u (global.get $next) (i32.shl (memory.size) (i32.const 16)))
    (then
      (if (i32.eq (i32.const -1)
            (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $length) (i32.const 16)))))
        (then unreachable))))
  (local.get $address))
