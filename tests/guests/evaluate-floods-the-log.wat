;; 200 lines of a page each, then a verdict.
(data (i32.const 1024) "info")
(func (export "evaluate") (param i32) (result i32)
  (local $line i32)
  (memory.fill (i32.const 65536) (i32.const 97) (i32.const 65536))
  (loop $more
    (call $log (i32.const 1024) (i32.const 4) (i32.const 65536) (i32.const 65536))
    (local.set $line (i32.add (local.get $line) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $line) (i32.const 200))))
  (call $accept))
