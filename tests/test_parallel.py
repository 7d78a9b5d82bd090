"""Tests of parallel.py: jobs side by side, in order, one a worker, and an error that is heard."""

import threading
import time

import pandas as pd
import pytest
from conftest import random_rois

from lesion_utils.parallel import side_by_side


def test_results_come_in_the_order_of_the_jobs_and_each_worker_has_one_job_at_a_time():
    busy, most, lock = set(), [0], threading.Lock()

    def job(number):
        def work(worker, advance):
            with lock:
                assert worker not in busy
                busy.add(worker)
                most[0] = max(most[0], len(busy))
            time.sleep(0.01 * (5 - number))
            advance()
            with lock:
                busy.remove(worker)
            return number

        return work

    assert side_by_side(["a", "b"], [job(number) for number in range(5)], total=5, description="jobs") == [0, 1, 2, 3, 4]
    assert most[0] == 2


def test_no_jobs_give_no_results():
    assert side_by_side(["a"], [], total=0, description="none") == []


def test_first_error_is_raised_and_jobs_not_yet_begun_are_dropped():
    begun = []

    def job(number):
        def work(worker, advance):
            begun.append(number)
            if number == 1:
                raise ValueError("loss of job 1 is not a number")
            time.sleep(0.05)

        return work

    with pytest.raises(ValueError, match="loss of job 1"):
        side_by_side(["a"], [job(number) for number in range(50)], total=50, description="jobs")
    assert len(begun) < 50


def test_bar_ends_at_the_number_of_steps(capsys):
    side_by_side(["a", "b"], [lambda worker, advance: advance(3)] * 4, total=12, description="four jobs")
    assert "12/12" in capsys.readouterr().err


def test_two_gans_alike_train_at_once_as_they_do_alone(tmp_path):
    from lesion_utils import acgan, gan_training

    rois = random_rois(48, classes=3)
    tiny = {"generator_width": 16, "discriminator_width": 2, "batch_size": 8, "learning_rate": 0.001, "beta_1": 0.5}
    settings = tiny | {"noise": "uniform", "precision": "float32", "classes": 3}

    def job(number, folder):
        def train(gan, advance):
            unit = {"epochs": 6, "saved_epochs": 1, "seed": number, "where": f"ACGAN {number}", "on_epoch": advance}
            return gan_training.train_gan(gan, rois, tmp_path / f"{folder}{number}", **unit)

        return train

    workers = [acgan.Acgan(**settings) for _ in range(2)]
    at_once = side_by_side(workers, [job(number, "pair") for number in range(4)], total=24, description="ACGANs")
    alone = side_by_side(workers[:1], [job(number, "alone") for number in range(4)], total=24, description="ACGANs")
    for one, other in zip(at_once, alone, strict=True):
        pd.testing.assert_frame_equal(one, other)
