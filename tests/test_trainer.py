"""What workers are handed: trainings in which order, and which code."""

from contextlib import closing

from made_search import make_space
from made_toy import CPU, TRAINING, make_dataset

from atom_nas.scoring.trainer import Job, Trained, Trainer


def jobs_of(space, nets, dataset):
    return [
        Job(
            space=space,
            architecture=net,
            seed=0,
            training=TRAINING,
            train=dataset.train,
            held_out=(dataset.validation,),
        )
        for net in nets
    ]


def test_workers_begin_with_the_longest_of_known_cost(tmp_path, monkeypatch):
    dataset, space = make_dataset(), make_space(tmp_path)
    nets = [
        space.module.Architecture(width=width, depth=1, act="relu") for width in (2, 8, 13, 5, 3)
    ]
    for net in nets[:2] + nets[3:4]:
        space.cost(net)
    trainer, handed = Trainer(dataset.normalization, CPU, workers="2"), []

    def run(orders, may_begin):
        handed.extend(space.restore(order.architecture).width for order, _ in orders)
        yield from ((number, Trained(seconds=handed[number])) for number in range(len(orders)))

    monkeypatch.setattr(trainer._pool, "run", run)
    jobs = jobs_of(space, nets, dataset)
    found = dict(trainer.run(jobs))
    assert handed == [8, 5, 2, 13, 3]
    assert [found[number].seconds for number in range(5)] == [2, 8, 13, 5, 3]


def test_an_edit_of_the_space_while_a_command_runs_changes_nothing_of_it(tmp_path):
    dataset, space = make_dataset(), make_space(tmp_path)
    space.source.write_text("raise RuntimeError('edited')\n")
    nets = [space.module.Architecture(width=width, depth=1, act="relu") for width in (2, 3)]
    with closing(Trainer(dataset.normalization, CPU, workers="2")) as trainer:
        found = [trained.failure for _, trained in trainer.run(jobs_of(space, nets, dataset))]
    assert found == ["", ""]
