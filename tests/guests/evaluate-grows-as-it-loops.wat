;; Takes a page of memory after every million rounds, for ever, so that what it has tells how far it came.
(func (export "evaluate") (param i32) (result i32)
  (local $round i32)
  (loop $forever
    (local.set $round (i32.add (local.get $round) (i32.const 1)))
    (if (i32.eqz (i32.rem_u (local.get $round) (i32.const 1000000)))
      (then (drop (memory.grow (i32.const 1)))))
    (br $forever))
  (unreachable))
