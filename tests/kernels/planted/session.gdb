# The session of kernels/DEBUGGING.md, run by ctest.
set pagination off
set confirm off
set print frame-arguments none
set environment KFER_SIMT_ORDER forward
break transpose<float, true> if threadIdx.x == 5 && threadIdx.y == 2
run clean
next 4
print j
print tile[1][3]
simt threads
simt thread 3,1
print threadIdx
print col + x
up
simt back
print threadIdx
simt thread 68
next
print threadIdx
delete
continue
