(data (i32.const 1024) "info")
(func (export "evaluate") (param i32) (result i32)
  (loop $more
    (call $log (i32.const 1024) (i32.const 4) (i32.const 65536) (i32.const 65536))
    (br $more))
  (unreachable))
