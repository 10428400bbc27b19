import threading

from raygenex.cluster.repeated import repeated


def test_a_call_is_made_again_until_the_context_is_left():
    calls, third = [], threading.Event()

    def call():
        calls.append(threading.current_thread().name)
        if len(calls) == 3:
            third.set()

    with repeated(call, 0.001, "the-thread"):
        assert third.wait(60)
    assert set(calls) == {"the-thread"}
    assert not any(thread.name == "the-thread" for thread in threading.enumerate())


def test_a_call_that_hangs_does_not_hold_up_the_end():
    begun, free = threading.Event(), threading.Event()

    def call():
        begun.set()
        free.wait(60)

    with repeated(call, 0.001, "hangs", patience_s=0.01):
        assert begun.wait(60)
    assert any(thread.name == "hangs" for thread in threading.enumerate())
    free.set()
