;; The places of `secret.wat` that no snapshot can hold: a table, and globals of other types than numbers.

(global $vector (mut v128) (v128.const i64x2 0 0))
(global $reference (mut funcref) (ref.null func))
(table $table 512 2048 funcref)
(elem declare func $leave)

(func $found_elsewhere (result i32)
  (local $slot i32)
  (if (v128.any_true (global.get $vector)) (then (return (i32.const 1))))
  (if (i32.eqz (ref.is_null (global.get $reference))) (then (return (i32.const 1))))
  (loop $next
    (if (i32.eqz (ref.is_null (table.get $table (local.get $slot)))) (then (return (i32.const 1))))
    (local.set $slot (i32.add (local.get $slot) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $slot) (table.size $table))))
  (i32.const 0))

(func $leave_elsewhere
  (global.set $vector (v128.const i64x2 0x7365637265742121 0x7365637265742121))
  (global.set $reference (ref.func $leave))
  (drop (table.grow $table (ref.func $leave) (i32.const 512)))
  (table.fill $table (i32.const 0) (ref.func $leave) (table.size $table)))
