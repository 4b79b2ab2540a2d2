(table $table 1 funcref)
(func (export "evaluate") (param i32) (result i32)
  (loop $more
    (if (i32.eq (i32.const -1) (table.grow $table (ref.null func) (i32.const 1000)))
      (then (unreachable)))
    (br $more))
  (unreachable))
